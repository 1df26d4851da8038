// Chapter 5: rob both of its contracts, compiled, in an Ethereum machine in the page that a click loads.
(() => {
  "use strict";

  const START = 1700000000n, WAD = 10n ** 18n, BLOCK = 30000000n; // as deepfake_kit.chain.evm has them
  const NUMBERS = 4096, IMAGES = 256, WINDOW = 600;
  const PARTIES = ["DSP", "Ann", "Bob", "Eve", "Aunt", "Cousin"];
  const EVES = PARTIES.slice(3);
  const KINDS = { task_market: "First contract", repaired_market: "Repaired contract" };
  let E; // the machine, once loaded

  // Bytes.
  const text = (words) => new TextEncoder().encode(words);
  const hex = (bytes) => E.bytesToHex(bytes).slice(2);
  const join = (...parts) => {
    const made = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
    let at = 0;
    for (const one of parts) {
      made.set(one, at);
      at += one.length;
    }
    return made;
  };
  const digest = (...parts) => E.sha256(join(...parts));

  // Updates in fixed point, four bytes a number, and the hash tree over them: deepfake_kit.chain.merkle.
  class Tree {
    constructor(data) {
      this.data = data;
    }
    get levels() {
      if (!this.kept) {
        let level = Array.from({ length: this.data.length / 4 }, (_, k) => digest([0], this.data.subarray(4 * k, 4 * k + 4)));
        this.kept = [level];
        for (; level.length > 1; this.kept.push(level)) {
          level = Array.from({ length: level.length / 2 }, (_, k) => digest([1], level[2 * k], level[2 * k + 1]));
        }
      }
      return this.kept;
    }
  }

  const drawn = new Map(), means = []; // updates by their name; averages of the script that runs
  function update(who, round, kind = "update") {
    const name = `${kind} ${who.name} ${round}`;
    if (!drawn.has(name)) {
      const blocks = Array.from({ length: NUMBERS / 8 }, (_, k) => digest(text(`${name} ${k}`)));
      drawn.set(name, new Tree(join(...blocks)));
    }
    return drawn.get(name);
  }

  function mean(...pairs) {
    const made = new Uint8Array(4 * NUMBERS), out = new DataView(made.buffer);
    const trees = pairs.filter((_, k) => k % 2 === 0).map((one) => new DataView(one.data.buffer));
    const weights = pairs.filter((_, k) => k % 2);
    const total = weights.reduce((sum, one) => sum + one, 0n);
    for (let at = 0; at < made.length; at += 4) {
      out.setUint32(at, Number(trees.reduce((sum, one, k) => sum + weights[k] * BigInt(one.getUint32(at)), 0n) / total));
    }
    means.push(new Tree(made));
    return means[means.length - 1];
  }

  function lie(tree) {
    const data = tree.data.slice();
    data[data.length - 1] ^= 1;
    return new Tree(data);
  }

  // What a line may call; a name in it is a party, an earlier word, or one of these.
  const WORDS = {
    update,
    noise: (who, round) => update(who, round, "noise"),
    mean,
    lie,
    bytes: (tree) => tree.data,
    hash: (one) => digest(one.data || text(one)),
    root: (tree) => tree.levels[tree.levels.length - 1][0],
    node: (tree, level, place) => tree.levels[level][place],
    number: (tree, place) => tree.data.slice(4 * Number(place), 4 * Number(place) + 4),
    proof: (tree, place) => tree.levels.slice(0, -1).map((level, k) => level[(Number(place) >> k) ^ 1]),
    salt: (who, round) => digest(text(`salt of ${who.name}, ${round}`)),
    sealed: (who, salt, root) => digest(E.hexToBytes(who.address), salt, root),
  };

  // The contract's arguments in Ethereum's encoding.
  const word = (number) => number.toString(16).padStart(64, "0");
  const padded = (bytes) => hex(bytes).padEnd(64 * Math.ceil(bytes.length / 32), "0");
  function one(type, value) {
    const refuse = () => {
      throw new Error(`a ${type} is wanted`);
    };
    if (type === "address") return value && value.address ? value.address.slice(2).padStart(64, "0") : refuse();
    if (type === "bool") return typeof value === "boolean" ? word(value ? 1 : 0) : refuse();
    if (type === "bytes") return value instanceof Uint8Array ? word(value.length) + padded(value) : refuse();
    if (type.endsWith("[]")) {
      return Array.isArray(value) ? word(value.length) + value.map((part) => one(type.slice(0, -2), part)).join("") : refuse();
    }
    if (type === "uint256") return typeof value === "bigint" && value >= 0n && value < 2n ** 256n ? word(value) : refuse();
    return value instanceof Uint8Array && value.length === Number(type.slice(5)) ? padded(value) : refuse();
  }
  function encode(types, values) {
    if (types.length !== values.length) throw new Error(`${types.length} arguments are wanted: ${types.join(", ")}`);
    let head = "", tail = "";
    types.forEach((type, k) => {
      const made = one(type, values[k]);
      if (type === "bytes" || type.endsWith("[]")) {
        head += word(32 * types.length + tail.length / 2);
        tail += made;
      } else head += made;
    });
    return head + tail;
  }

  // Gas of a transaction under the Prague rules: deepfake_kit.chain.evm.transaction_gas.
  function gasOf(data, execution, refund) {
    let tokens = 0n;
    for (const byte of data) tokens += byte ? 4n : 1n;
    const used = 21000n + 4n * tokens + execution, least = 21000n + 10n * tokens;
    const paid = used - (refund < used / 5n ? refund : used / 5n);
    return paid > least ? paid : least;
  }

  // A chain with one contract on it, a clock and the parties.
  class Chain {
    static async open(name, baseFee) {
      const chain = new Chain();
      const common = new E.Common({ chain: E.Mainnet, hardfork: "prague" });
      Object.assign(chain, { about: window.kitLive.contracts[name], now: START, baseFee, state: new E.SimpleStateManager({ common }) });
      chain.evm = await E.createEVM({ common, stateManager: chain.state });
      chain.parties = Object.fromEntries(
        await Promise.all(
          ["founder", ...PARTIES].map(async (who) => {
            const address = "0x" + hex(digest(text(who))).slice(-40);
            const party = { name: who, address, at: E.createAddressFromString(address) };
            await chain.state.putAccount(party.at, new E.Account(0n, 100n * WAD));
            return [who, party];
          }),
        ),
      );
      const made = await chain.run({ caller: chain.parties.founder.at, data: E.hexToBytes("0x" + chain.about.code) });
      chain.at = made.createdAddress;
      return chain;
    }
    // Each transaction starts as on a public chain: cold storage, and the state so far as its reference.
    async run(message) {
      this.evm.journal.cleanJournal();
      this.state.originalStorageCache.clear();
      const zero = E.createAddressFromString("0x" + "0".repeat(40));
      for (const one of [message.caller, message.to, zero]) if (one) this.evm.journal.addWarmedAddress(one.bytes);
      for (let k = 1; k <= 17; k++) this.evm.journal.addWarmedAddress(E.hexToBytes("0x" + k.toString(16).padStart(40, "0")));
      const header = {
        number: 1n, coinbase: zero, timestamp: this.now, difficulty: 0n, prevRandao: new Uint8Array(32),
        gasLimit: BLOCK, baseFeePerGas: this.baseFee, getBlobGasPrice: () => 1n,
      };
      return this.evm.runCall({ ...message, gasLimit: BLOCK, block: { header } });
    }
    data(name, values) {
      const about = Object.hasOwn(this.about.functions, name) && this.about.functions[name];
      if (!about) throw new Error(`the contract has no ${name}; it has ${Object.keys(this.about.functions).join(", ")}`);
      return E.hexToBytes("0x" + about.selector + encode(about.inputs, values));
    }
    async balance(at) {
      return (await this.state.getAccount(at))?.balance ?? 0n;
    }
    async balances() {
      const found = { contract: await this.balance(this.at) };
      for (const who of PARTIES) found[who] = await this.balance(this.parties[who].at);
      return found;
    }
    async read(name, ...values) {
      await this.state.checkpoint();
      const { execResult } = await this.run({ caller: this.parties.founder.at, to: this.at, data: this.data(name, values) });
      await this.state.revert();
      const out = execResult.exceptionError ? "" : hex(execResult.returnValue);
      return Array.from({ length: out.length / 64 }, (_, k) => BigInt("0x" + out.slice(64 * k, 64 * k + 64)));
    }
    name(address) {
      return Object.keys(this.parties).find((who) => this.parties[who].address.slice(2) === address) || "0x" + address;
    }
    event({ 1: topics, 2: data }) {
      const about = this.about.events[hex(topics[0])], fields = {}, rest = hex(data);
      let topic = 1, at = 0;
      for (const [name, type, indexed] of about.inputs) {
        const raw = indexed ? hex(topics[topic++]) : rest.slice(at, (at += 64));
        fields[name] = type === "address" ? this.name(raw.slice(24)) : type.startsWith("bytes") ? raw : BigInt("0x" + raw);
        if (type === "bool") fields[name] = fields[name] === 1n;
      }
      return { name: about.name, fields };
    }
    async call(sender, name, values, value) {
      const data = this.data(name, values), receipt = { gas: 0n, refused: "insufficient_funds", events: [] };
      if ((await this.balance(sender.at)) < value) return receipt;
      const { execResult } = await this.run({ caller: sender.at, to: this.at, data, value });
      const { exceptionError: error, returnValue, executionGasUsed, gasRefund, logs } = execResult;
      receipt.refused = null;
      if (error) {
        const out = hex(returnValue), size = Number("0x" + out.slice(72, 136));
        const said = out.startsWith("08c379a0") && new TextDecoder().decode(returnValue.slice(68, 68 + size));
        receipt.refused = said || (error.error === "out of gas" ? "out_of_gas" : "unnamed_Revert");
      } else receipt.events = (logs || []).map((log) => this.event(log));
      receipt.gas = gasOf(data, executionGasUsed, error ? 0n : gasRefund || 0n);
      return receipt;
    }
  }

  // A line: "wait 601", "word = ...", or "Ann join(0, 256) with 0.005". A number with a point counts in units of 10^18.
  const TOKEN = /\s*(?:(\d+\.\d*)|(\d+)|([A-Za-z_]\w*)|"([^"]*)"|(\*\*|[-+*(),=]))/y;
  function tokens(line) {
    const found = [];
    TOKEN.lastIndex = 0;
    for (let at = 0; line.slice(at).trim(); at = TOKEN.lastIndex) {
      TOKEN.lastIndex = at;
      const got = TOKEN.exec(line);
      if (!got) throw new Error(`what is "${line.slice(at).trim().slice(0, 20)}"?`);
      found.push(got);
    }
    return found;
  }
  class Line {
    constructor(line, names) {
      Object.assign(this, { tokens: tokens(line), names, at: 0 });
    }
    peek(sign) {
      const now = this.tokens[this.at];
      return Boolean(now && (now[5] === sign || now[3] === sign));
    }
    take(sign) {
      if (!this.peek(sign)) return false;
      return Boolean(++this.at);
    }
    need(sign) {
      if (!this.take(sign)) throw new Error(`"${sign}" is missing`);
    }
    name() {
      const now = this.tokens[this.at++];
      if (!now || !now[3]) throw new Error("a name is missing");
      return now[3];
    }
    list() {
      const found = [];
      this.need("(");
      while (!this.take(")")) {
        found.push(this.value());
        if (!this.peek(")")) this.need(",");
      }
      return found;
    }
    value() {
      let left = this.factor();
      for (;;) {
        if (this.take("+")) left += this.factor();
        else if (this.take("-")) left -= this.factor();
        else return left;
      }
    }
    factor() {
      let left = this.atom();
      for (;;) {
        if (this.take("**")) left **= this.atom();
        else if (this.take("*")) left *= this.atom();
        else return left;
      }
    }
    atom() {
      if (this.take("(")) {
        const inside = this.value();
        this.need(")");
        return inside;
      }
      const now = this.tokens[this.at++];
      if (!now) throw new Error("something is missing at the end");
      if (now[1]) {
        const [whole, part] = now[1].split(".");
        return BigInt(whole) * WAD + BigInt(part.slice(0, 18).padEnd(18, "0"));
      }
      if (now[2]) return BigInt(now[2]);
      if (now[4] !== undefined) return now[4];
      const name = now[3];
      if (name === "true" || name === "false") return name === "true";
      if (Object.hasOwn(this.names, name)) return this.names[name];
      if (Object.hasOwn(WORDS, name) && this.peek("(")) return WORDS[name](...this.list());
      throw new Error(name ? `what is ${name}?` : `"${now[5]}" stands in a wrong place`);
    }
    end() {
      if (this.at < this.tokens.length) throw new Error(`"${this.tokens[this.at][0].trim()}" is too much`);
    }
  }

  // Run a script on a fresh chain: what each line did, and what is to be said of the whole.
  async function play(kind, script, gwei, each = () => {}) {
    const chain = await Chain.open(kind, BigInt(Math.round(gwei * 1e9)));
    const names = { ...chain.parties }, rows = [], work = {}, gas = {};
    const run = { chain, rows, error: "", unearned: 0, wrong: 0, gas: 0n };
    const start = await chain.balances();
    let before = start;
    means.length = 0;
    for (const [at, raw] of script.split("\n").entries()) {
      const source = raw.replace(/#.*/, "").trim();
      if (!source) continue;
      try {
        const line = new Line(source, names), first = line.name();
        if (first === "wait") {
          const seconds = line.value();
          line.end();
          if (typeof seconds !== "bigint") throw new Error("a number of seconds is missing");
          chain.now += seconds;
          rows.push({ source, wait: seconds });
        } else if (line.take("=")) {
          names[first] = line.value();
          line.end();
        } else {
          if (!PARTIES.includes(first)) throw new Error(`who is ${first}? There are ${PARTIES.join(", ")}`);
          const call = line.name(), values = line.list();
          let value = 0n;
          if (line.take("with")) value = line.take("bond") ? (await chain.read("bonds", 0n))[call === "challenge" ? 0 : 1] : line.value();
          line.end();
          if (typeof value !== "bigint" || value < 0n) throw new Error("a number is missing after with");
          const told = await chain.call(chain.parties[first], call, values, value), balances = await chain.balances();
          const moved = Object.keys(balances).filter((who) => balances[who] !== before[who]);
          gas[first] = (gas[first] || 0n) + told.gas;
          run.gas += told.gas;
          rows.push({ source, sender: first, call, values, value, ...told, balances, moved: moved.map((who) => [who, balances[who] - before[who]]) });
          before = balances;
          if (!told.refused && ["submit", "reveal"].includes(call)) {
            const own = update(chain.parties[first], values[1]), [done, all] = work[first] || [0, 0];
            const trained = hex(call === "submit" ? WORDS.hash(own) : WORDS.root(own)) === hex(values[values.length - 1]);
            work[first] = [done + trained, all + 1];
          }
          for (const { name, fields } of told.events) {
            if (name === "Aggregated") {
              const of = fields.digest ? WORDS.hash : WORDS.root, recorded = fields.digest || fields.root;
              if (!means.some((tree) => hex(of(tree)) === recorded)) run.wrong++;
            } else if (name === "Paid") {
              const [done, all] = work[fields.node] || [0, 1];
              run.unearned += (ether(fields.amount) * (all - done)) / all;
            }
          }
        }
      } catch (problem) {
        run.error = `line ${at + 1}: ${problem.message}`;
        break;
      }
      if (rows.length % 8 === 0) await new Promise((done) => setTimeout(done));
      each(rows.length);
    }
    run.nets = Object.fromEntries(PARTIES.map((who) => [who, ether(before[who] - start[who]) - ether(gas[who] || 0n) * gwei * 1e9]));
    run.nets.Eve = EVES.reduce((sum, who) => sum + run.nets[who], 0);
    run.left = ether(before.contract);
    let all = 0, hers = 0; // declared data behind the updates that were taken
    for (const who of Object.keys(work)) {
      const weight = Number((await chain.read("nodes", 0n, chain.parties[who]))[1] || 0n);
      all += weight;
      if (EVES.includes(who)) hers += weight;
    }
    run.share = hers / (all || 1);
    return run;
  }

  // The plans of the chapter, as calls.
  const HONEST = "train, like Ann";
  const PLANS = {
    [HONEST]: {},
    "copy Ann's hash": { copies: true },
    "copy it under three names": { copies: true, names: 3 },
    "three names, and a dear machine": { copies: true, names: 3, cost: "0.18033688011112042" },
    "declare as many images as go": { size: "2**64" },
    "record a false average": { lies: true },
    "challenge Ann in each round": { challenges: true },
    "hand in noise": { noise: true },
  };

  function scripted(kind, plan) {
    const { names = 1, size = String(IMAGES), cost = "0.0105", copies, lies, challenges, noise } = plan;
    const eves = EVES.slice(0, names), honest = ["Ann", "Bob"], all = [...honest, ...eves], first = kind === "task_market";
    const own = (who, r) => `${noise && eves.includes(who) ? "noise" : "update"}(${who}, ${r})`;
    const standing = copies ? honest : all, cap = first ? 2 ** 20 : 2 * IMAGES;
    const weight = (who) => (eves.includes(who) && size !== String(IMAGES) ? cap : IMAGES);
    const lines = [`# ${Object.keys(PLANS).find((name) => PLANS[name] === plan)}`];
    if (first) lines.push(`DSP publish(hash("recipe"), 10, 2, 0.006, ${IMAGES}, 1.0, 2.0, 0.005, ${WINDOW}) with 2.0`);
    else lines.push(`DSP publish(hash("recipe"), 2, ${IMAGES}, ${2 * IMAGES}, ${NUMBERS}, 0.0105, 0.005, 1.0, 0.005, ${WINDOW}) with 1.0`);
    for (const who of all) {
      const declared = eves.includes(who) ? [size, cost] : [IMAGES, "0.0105"];
      lines.push(`${who} join(0, ${(first ? declared : declared.slice(0, 1)).join(", ")}) with 0.005`);
    }
    lines.push(`wait ${WINDOW + 1}`);
    for (const r of [0, 1]) {
      lines.push(`# round ${r + 1}`, `right = mean(${standing.map((who) => `${own(who, r)}, ${weight(who)}`).join(", ")})`);
      if (first) {
        for (const who of all) lines.push(`${who} submit(0, ${r}, hash(${copies && eves.includes(who) ? `update(Ann, ${r})` : own(who, r)}))`);
        if (challenges) lines.push("DSP challenge(0, Ann) with 0.005", `Ann answer(0, Ann, bytes(update(Ann, ${r})))`);
        lines.push(`DSP aggregate(0, ${r}, hash(${lies ? '"not an average of anything"' : "right"}))`, "wait 60");
        continue;
      }
      lines.push(`promise = sealed(Ann, salt(Ann, ${r}), root(update(Ann, ${r})))`);
      const copied = (who) => copies && eves.includes(who);
      for (const who of all) {
        lines.push(`${who} commit(0, ${r}, ${who === "Ann" || copied(who) ? "promise" : `sealed(${who}, salt(${who}, ${r}), root(${own(who, r)}))`})`);
      }
      lines.push(`wait ${WINDOW + 1}`);
      for (const who of all) {
        const from = copied(who) ? "Ann" : who;
        lines.push(`${who} reveal(0, ${r}, salt(${from}, ${r}), root(${own(from, r)}))`);
      }
      lines.push(`wait ${WINDOW}`);
      if (challenges) lines.push(`DSP challenge(0, Ann, ${r}) with bond`, `Ann answer(0, Ann, number(update(Ann, ${r}), ${r}), proof(update(Ann, ${r}), ${r}))`);
      lines.push(`wait ${WINDOW + 1}`);
      if (lies) {
        lines.push("lied = lie(right)", `Eve propose(0, ${r}, root(lied)) with bond`, "Bob dispute(0) with bond");
        for (let level = Math.log2(NUMBERS) - 1; level >= 0; level--) {
          const place = NUMBERS / 2 ** level - 2;
          lines.push(`Eve open(0, node(lied, ${level}, ${place}), node(lied, ${level}, ${place + 1}))`, "Bob descend(0, true)");
        }
        lines.push(`Eve show(0, number(lied, ${NUMBERS - 1}))`);
        for (const who of standing) lines.push(`Bob add(0, ${who}, number(${own(who, r)}, ${NUMBERS - 1}), proof(${own(who, r)}, ${NUMBERS - 1}))`);
      }
      lines.push(`Bob propose(0, ${r}, root(right)) with bond`, `wait ${WINDOW + 1}`, "Bob finalise(0)");
    }
    lines.push("# home");
    for (const who of first ? all : standing) lines.push(`${who} pay(0, ${who})`);
    if (!first && copies) for (const who of eves) lines.push(`${who} pay(0, ${who})`);
    if (!first) lines.push("Bob withdraw(Bob)", ...(challenges ? ["Ann withdraw(Ann)"] : []));
    return [...lines, "DSP refund(0)"].join("\n");
  }

  const ether = (wei) => Number(wei) / 1e18;
  const four = (value) => (Math.abs(value) < 5e-5 ? 0 : value).toFixed(4);
  const signed = (value) => (value > 0 ? "+" : "") + four(value);

  // One sentence for a contract: who is robbed, and of how much, against a task in which all train.
  function told(run, honest, robber) {
    const lost = Object.entries({ "the provider": "DSP", Ann: "Ann", Bob: "Bob" }).filter(([, who]) => who !== robber)
      .map(([word, who]) => [word, honest.nets[who] - run.nets[who]]).filter(([, less]) => less > 5e-5);
    const facts = [
      run.unearned > 5e-5 ? `${four(run.unearned)} ether of the deposit pay for no training` : "nobody is paid for no training",
      lost.length ? "against honest play " + lost.map(([word, less]) => `${word} loses ${four(less)}`).join(" and ") : "no honest party nets less than in honest play",
    ];
    if (run.share > honest.share + 0.01) facts.push(`her declared data are ${Math.round(100 * run.share)}% of the average`);
    if (run.wrong) facts.push(`${run.wrong} of the recorded averages ${run.wrong === 1 ? "is" : "are"} false`);
    if (run.left > 0) facts.push(`${four(run.left)} ether are still in the contract`);
    return facts.join("; ");
  }

  const EXAMPLES = {
    task_id: "0", round: "0", node: "Ann", account: "Eve", data_size: String(IMAGES), cost: "0.0105", root: "root(update(Eve, 0))",
    uint256: "0", address: "Ann", bool: "true", bytes32: "hash(update(Eve, 0))", bytes4: "number(update(Eve, 0), 0)",
    bytes: "bytes(update(Eve, 0))", "bytes32[]": "proof(update(Eve, 0), 0)",
  };

  function show(after, { make, script }) {
    const id = "kit-deposit", runs = {}, honest = {};
    const plan = make("select", { id: id + "-plan" }, ...Object.keys(PLANS).map((name) => make("option", {}, name)));
    const price = make("input", { id: id + "-price", type: "number", min: 0, max: 10000, step: "any", value: 10 });
    const go = make("button", { type: "button", className: "kit-check" }, "Load the machine and play");
    const said = make("div", { role: "status", className: "kit-told" });
    const summary = make("div", {});
    const scroll = (name, ...inside) => make("div", { className: "kit-window", role: "region", tabIndex: 0, "aria-label": name }, ...inside);
    const row = (tag, cells) => make("tr", {}, ...cells.map((cell, k) => (k ? make(tag, {}, cell) : make("th", { scope: tag === "th" ? "col" : "row" }, cell))));
    const panels = Object.entries(KINDS).map(([kind, title]) => {
      const area = make("textarea", { id: `${id}-${kind}`, rows: 9, spellcheck: false, wrap: "off", autocapitalize: "off" });
      const call = make("select", { id: `${id}-${kind}-call`, "aria-label": `A call of the ${title.toLowerCase()}` });
      const add = make("button", { type: "button" }, "Add this call");
      add.addEventListener("click", () => {
        const { names, inputs, payable } = window.kitLive.contracts[kind].functions[call.value];
        const values = inputs.map((type, k) => EXAMPLES[names[k]] || EXAMPLES[type]);
        area.value = `${area.value.trimEnd()}\nEve ${call.value}(${values.join(", ")})${payable ? " with 0.005" : ""}\n`;
        area.scrollTop = area.scrollHeight;
        said.textContent = `Added to the ${title.toLowerCase()}: Eve ${call.value}. Change it as you like, then play.`;
      });
      const more = make("div", { className: "kit-buttons" }, call, add);
      more.hidden = true;
      const calls = make("div", {});
      const box = make("div", {}, make("label", { htmlFor: area.id }, `${title}: the calls`), area, more, calls);
      return { kind, title, area, call, more, calls, box };
    });
    const fill = () => panels.forEach(({ kind, area }) => (area.value = scripted(kind, PLANS[plan.value])));

    function report() {
      const [a, b] = panels.map(({ kind }) => runs[kind]);
      said.replaceChildren(...panels.map(({ kind, title }) => make("p", {}, make("strong", {}, title + ": "), (runs[kind].error ? `stopped at ${runs[kind].error}. Up to there ` : "") + told(runs[kind], honest[kind], PLANS[plan.value].challenges && "DSP") + ".")));
      const rows = [
        ...[["Provider nets", "DSP"], ["Ann nets", "Ann"], ["Bob nets", "Bob"], ["Eve nets, all names", "Eve"]].map(([word, who]) => [word, ...[a, b].map((run) => signed(run.nets[who]))]),
        ["Paid for no training", four(a.unearned), four(b.unearned)],
        ["Eve's share of the average", ...[a, b].map((run) => `${Math.round(100 * run.share)}%`)],
        ["False averages on record", String(a.wrong), String(b.wrong)],
        ["Gas of all calls", ...[a, b].map((run) => Number(run.gas).toLocaleString("en"))],
      ];
      summary.replaceChildren(scroll("What each party nets", make("table", {}, make("caption", {}, "In ether, gas paid"),
        make("thead", {}, row("th", ["", ...Object.values(KINDS)])), make("tbody", {}, ...rows.map((cells) => row("td", cells))))));
      for (const { kind, title, calls } of panels) {
        const lines = runs[kind].rows.map((one) => {
          if (one.wait) return row("td", [one.source, "", "", ""]);
          const outcome = one.refused ? `refused: ${one.refused}` : one.events.map((event) => event.name).join(", ") || "done";
          const moved = one.moved.map(([who, wei]) => `${who} ${signed(ether(wei))}`).join(", ");
          const cells = row("td", [one.source, Number(one.gas).toLocaleString("en"), outcome, moved]);
          if (one.refused) cells.className = "kit-refused";
          return cells;
        });
        calls.replaceChildren(scroll(`${title}: what each call did`, make("table", {}, make("thead", {}, row("th", ["call", "gas", "event or refusal", "ether moved"])), make("tbody", {}, ...lines))));
      }
    }

    async function playAll() {
      if (go.getAttribute("aria-disabled") === "true") return;
      go.setAttribute("aria-disabled", "true");
      try {
        if (!E) {
          said.textContent = "Loading the machine, a third of a megabyte from this book's own folder…";
          await script("machine");
          await script("contracts");
          E = window.kitLive.machine;
          for (const { kind, call, more } of panels) {
            const known = Object.entries(window.kitLive.contracts[kind].functions).filter(([, about]) => !about.view);
            call.append(...known.map(([name]) => make("option", {}, name)));
            more.hidden = false;
          }
        }
        const gwei = Math.min(10000, Math.max(0, Number(price.value) || 0));
        for (const { kind, title, area } of panels) {
          said.textContent = `${title}: playing…`;
          await new Promise((done) => setTimeout(done, 30));
          if (honest.gwei !== gwei) honest[kind] = await play(kind, scripted(kind, PLANS[HONEST]), gwei);
          runs[kind] = await play(kind, area.value, gwei);
        }
        honest.gwei = gwei;
        go.textContent = "Play";
        report();
      } catch (problem) {
        said.textContent = "The machine broke off: " + (problem.message || "a file of it is missing");
      }
      go.removeAttribute("aria-disabled");
    }

    go.addEventListener("click", playAll);
    plan.addEventListener("change", () => {
      fill();
      if (E) playAll();
    });
    fill();
    const title = "Steal the deposit";
    const card = make("section", { className: "kit-live kit-deposit", id: "live-deposit", "aria-label": title },
      make("p", { className: "kit-live-title" }, make("strong", {}, title + ". "),
        "Both contracts, compiled, in an Ethereum machine in this page. Choose a plan, or change the calls: what does each line move, and which does a contract refuse?"),
      make("div", { className: "kit-live-rows" }, make("label", { htmlFor: plan.id }, make("span", {}, "plan to play"), plan),
        make("label", { htmlFor: price.id }, make("span", {}, "gas price, gwei"), price)),
      make("div", { className: "kit-buttons" }, go), said, summary,
      make("div", { className: "kit-pair" }, ...panels.map(({ box }) => box)),
      make("p", { className: "kit-keys" }, "A line is a call, wait with seconds, or word = value. A number with a point counts in ether. Updates here have " +
        `${NUMBERS.toLocaleString("en")} numbers.`));
    after.after(card);
    card.kitRuns = runs;
  }

  window.kitLive.add("deposit", { show, compute: { WORDS, PLANS, play, scripted } });
})();
