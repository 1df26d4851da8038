// What is large comes in parts, as scripts, since a page from the disk may load scripts too. They are packed, are loaded
// on a click from the book's own folder, and make a worker that knows no network and answers one question at a time.
(() => {
  "use strict";

  const LOADING = 120000; // milliseconds
  const folders = {};
  const of = (folder) => (folders[folder] = folders[folder] || {});
  window.kitPart = (name, text) => (of(new URL(".", document.currentScript.src).href)[name] = text);

  function script(address, name) {
    return new Promise((done, failed) => {
      const tag = document.createElement("script");
      tag.src = address;
      tag.onload = done;
      tag.onerror = () => failed(new Error(`This copy of the book lacks a part of ${name}, ${address.split("/").pop()}. JupyterLab has one: make lab.`));
      document.head.append(tag);
    });
  }

  async function load(folder, { name, wanted = () => true }) {
    const have = of(folder);
    if (!have.parts) await script(folder + "parts.js", name);
    const missing = have.parts.filter((part) => wanted(part) && !(part.replace(/\.js$/, "") in have));
    await Promise.all(missing.map((part) => script(folder + part, name)));
  }

  // A worker of a folder's parts. `about` has its name, what it weighs, which parts it wants and what to say of the
  // next start. Whoever asks gives the question, how many milliseconds it may take, and what to say when it takes longer.
  window.kitDesk = (folder, about) => {
    let worker = null;
    let queue = Promise.resolve();

    function put(question, limit, late) {
      return new Promise((done, failed) => {
        const give = (error) => {
          clearTimeout(timer);
          if (worker) worker.terminate();
          worker = null;
          failed(new Error(error));
        };
        const timer = setTimeout(() => give(late), limit);
        const broken = (why) =>
          give(`${about.name} broke off${/\boom\b|out of memory|memory size/i.test(why) ? ", out of memory" : ""}: ${why}. ${about.again}`);
        worker.onerror = (event) => broken(event.message || "the worker ended");
        worker.onmessage = ({ data }) => {
          if (data.broken) return broken(data.broken);
          clearTimeout(timer);
          done(data);
        };
        worker.postMessage(question);
      });
    }

    async function start(say) {
      if (worker) return;
      say(`Loading ${about.name}, about ${about.weight} MB from this book's own folder…`);
      await load(folder, about);
      say(`Starting ${about.name}…`);
      const { parts: names, "worker.js": source, ...bytes } = of(folder);
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      worker = new Worker(address);
      await put({ parts: bytes }, LOADING, about.name + " did not start within two minutes.");
      URL.revokeObjectURL(address);
    }

    return (question, limit, late, say) => {
      const one = queue.then(async () => {
        await start(say);
        return put(question, limit, late);
      });
      queue = one.catch(() => {});
      return one;
    };
  };
})();
