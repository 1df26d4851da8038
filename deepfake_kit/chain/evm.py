r"""A chain in this process: accounts, a clock and contracts in a real Ethereum virtual machine.

Vyper compiles a contract, titanoboa puts it on a chain and py-evm executes the bytecode under the rules of the
Prague upgrade, so gas, events and refusals are those of a public chain. Nothing is sent anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import namedtuple
from functools import cache
from pathlib import Path
from typing import NamedTuple

try:
    import vyper
    from boa.contracts.event_decoder import RawLogEntry, decode_log
except ImportError as error:
    told = 'needs titanoboa and vyper; install the extra: pip install "deepfake_kit[chain]"'
    raise ImportError(f"deepfake_kit.chain.market {told}") from error

from boa.environment import Env
from boa.util.abi import Address, abi_decode, abi_encode
from boa.vm.py_evm import Sha3PreimageTracer, SstoreTracer
from eth.exceptions import InsufficientFunds, OutOfGas
from vyper.utils import keccak256, method_id

from deepfake_kit.cache import cache_folder, write_whole
from deepfake_kit.valid import require

CONTRACTS = Path(__file__).parent / "contracts"
ETHER, GWEI = 10**18, 10**9  # wei
START = 1_700_000_000  # the first block's time, seconds
ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)

# Prices of the Prague rules.
TX_GAS = 21_000
GAS_PER_TOKEN = 4  # call data: a zero byte is one token, any other byte four
FLOOR_PER_TOKEN = 10
NEW_SLOT_GAS = 22_100  # a cold storage slot of 32 bytes, from zero to something
BLOCK_GAS = 30_000_000  # gas of a block when the paper appeared; limits have risen since


class TaskRefused(RuntimeError):
    """The contract refused a call and undid it; ``.reason`` is its word, ``.call`` the function."""

    def __init__(self, call: str, reason: str):
        super().__init__(f"{call} refused: {reason}")
        self.call, self.reason = call, reason


class Event(NamedTuple):
    """One event the contract logged: its name, the block's time in seconds, its fields."""

    name: str
    time: int
    fields: dict


class Receipt(NamedTuple):
    """One transaction: what was called by whom with how many wei, the gas it took, and the refusal if any."""

    call: str
    sender: str
    value: int
    gas: int
    refused: str | None


def whole(name: str, x) -> int:
    """A number that fits an unsigned 256-bit word.

    Raises
    ------
    ValueError
        If `x` is not a whole number in [0, 2**256).

    Examples
    --------
    >>> whole("budget", 7)
    7
    """
    good = hasattr(x, "__index__") and not isinstance(x, bool) and 0 <= int(x) < 2**256
    require(good, name, x, "a whole number in [0, 2**256)")
    return int(x)


def transaction_gas(data: bytes, execution: int, refund: int = 0) -> int:
    r"""Gas of a whole transaction, from the gas that its code used.

    .. math:: \max\bigl(21000 + 4\,k + g - \min(r, \tfrac15(21000 + 4k + g)),\; 21000 + 10\,k\bigr)

    with :math:`k` tokens of call data (1 for a zero byte, 4 for another), execution gas :math:`g` and storage
    refund :math:`r`: the Prague rules (EIP-2028, EIP-3529, EIP-7623).

    Parameters
    ----------
    data : bytes
        Call data.
    execution, refund : int
        Gas used by the code, and gas given back for cleared storage.

    Examples
    --------
    >>> transaction_gas(b"", 0), transaction_gas(bytes(3) + b"a", 1000)
    (21000, 22028)
    """
    zeros = data.count(0)
    tokens = zeros + 4 * (len(data) - zeros)
    used = TX_GAS + GAS_PER_TOKEN * tokens + execution
    return max(used - min(refund, used // 5), TX_GAS + FLOOR_PER_TOKEN * tokens)


def storage_gas(n_bytes: int) -> int:
    r"""Gas to write `n_bytes` into fresh storage, call data apart: :math:`22100\,\lceil n/32\rceil`.

    >>> storage_gas(33)
    44200
    """
    return NEW_SLOT_GAS * -(-whole("n_bytes", n_bytes) // 32)


def _environment() -> Env:
    """A new environment without titanoboa's tracing of storage, which this module does not use.

    titanoboa 0.2.8 puts each environment's tracers around the ones before, in a table that all environments
    share: the five-hundredth chain of a process would write every word through five hundred of them.
    """
    env = Env()
    kind = env.evm.vm.state.computation_class
    shared = kind.opcodes
    plain = dict(shared)
    for code, tracer, inner in ((0x20, Sha3PreimageTracer, "sha3"), (0x55, SstoreTracer, "sstore")):
        if isinstance(shared[code], tracer):
            shared[code] = getattr(shared[code], inner)  # as it was before this environment
        while isinstance(plain[code], tracer):
            plain[code] = getattr(plain[code], inner)
    kind.opcodes = plain
    return env


@cache
def compiled(code: str) -> tuple[bytes, list[dict]]:
    """Bytecode and interface (ABI) of a contract, compiled once and kept under the hash of compiler and source.

    Vyper is asked directly and only for these two: titanoboa's own path compiles the contract twice, keeps it as a
    pickle, and looks online for another compiler when a contract's pragma names one that is not installed.
    """
    key = hashlib.sha256(f"vyper {vyper.__version__}\n{code}".encode()).hexdigest()
    path = cache_folder() / "contracts" / f"{key}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return bytes.fromhex(kept["bytecode"]), kept["abi"]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole
        pass
    made = vyper.compile_code(code, output_formats=["bytecode", "abi"])
    kept = {"bytecode": made["bytecode"].removeprefix("0x"), "abi": made["abi"]}
    with contextlib.suppress(OSError):  # a folder that cannot be written to only costs time
        write_whole(path, json.dumps(kept))
    return bytes.fromhex(kept["bytecode"]), kept["abi"]


def source(name: str = "task_market") -> str:
    """Vyper source of one of the kit's contracts.

    >>> source().splitlines()[0]
    '# pragma version ~=0.4.3'
    """
    return (CONTRACTS / f"{name}.vy").read_text(encoding="utf-8")


class Chain:
    """A chain of its own: accounts with names, a clock, contracts, and a record of all that happened.

    Attributes
    ----------
    names : dict of str to str
        Name of each address.
    receipts : list of Receipt
        Every transaction so far, refused ones too.

    Examples
    --------
    >>> chain = Chain(); alice = chain.account("alice", balance=5)
    >>> chain.names[alice], chain.balance(alice)
    ('alice', 5)
    """

    def __init__(self):
        self._env = _environment()
        self._env.timestamp = START
        self.base_fee = GWEI
        self._contracts: dict[bytes, Contract] = {}
        self.names: dict[str, str] = {}
        self.receipts: list[Receipt] = []
        self._events: list[Event] = []
        self._logged: list[tuple[int, RawLogEntry]] = []
        self._founder = self.account("founder")

    def account(self, name: str, balance: int = 100 * ETHER) -> str:
        """A new account with a balance in wei; its address follows from the name."""
        require(name not in self.names.values(), "name", name, "new on this chain")
        address = Address("0x" + hashlib.sha256(name.encode()).hexdigest()[-40:])
        self._env.set_balance(address, whole("balance", balance))
        self.names[str(address)] = name
        return str(address)

    def deploy(self, code: str, name: str) -> Contract:
        """Compile Vyper source, put it on this chain and return it as a :class:`Contract`."""
        bytecode, abi = compiled(code)
        address, _ = self._env.deploy_code(bytecode=bytecode, sender=self._founder)
        self.names[str(address)] = name
        made = self._contracts[address.canonical_address] = Contract(self, str(address), abi)
        return made

    def balance(self, address: str) -> int:
        """Wei of an account."""
        return self._env.get_balance(Address(address))

    @property
    def events(self) -> list[Event]:
        """Everything the contracts logged, in order; decoded when it is first asked for."""
        self._events += [_decoded(self, time, raw) for time, raw in self._logged]
        self._logged.clear()
        return self._events

    @property
    def now(self) -> int:
        """The block's time, seconds."""
        return self._env.timestamp

    @property
    def base_fee(self) -> int:
        """Wei that a unit of gas costs at least, as contracts read it; may be set."""
        return self._env.evm.vm.state.execution_context._base_fee_per_gas

    @base_fee.setter
    def base_fee(self, wei: int) -> None:
        self._env.evm.vm.state.execution_context._base_fee_per_gas = whole("base_fee", wei)

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self._env.time_travel(seconds=whole("seconds", seconds))


class Contract:
    """A contract on a chain: `call` sends a transaction, `read` only looks."""

    def __init__(self, chain: Chain, address: str, abi: list[dict]):
        self.chain, self.address = chain, address
        self.functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
        self.selectors = {name: method_id(_signature(entry)) for name, entry in self.functions.items()}
        events = (entry for entry in abi if entry["type"] == "event")
        self.events = {int.from_bytes(keccak256(_signature(entry).encode())): entry for entry in events}

    def call_data(self, function: str, *args) -> bytes:
        """The bytes that ask for a function with these arguments: four of its hash, then the arguments."""
        inputs = self.functions[function]["inputs"]
        args = [_argument(part["name"], part["type"], x) for part, x in zip(inputs, args, strict=True)]
        return self.selectors[function] + abi_encode(_types(inputs), args)

    def _execute(self, function: str, args, sender: str, value: int, modify: bool):
        data = self.call_data(function, *args)
        how = dict(to_address=self.address, sender=sender, data=data, value=value, is_modifying=modify)
        computation = self.chain._env.execute_code(**how)
        return data, computation

    def _result(self, function: str, computation):
        """What a function returned: nothing, one value, or a tuple; a struct is a tuple with names."""
        outputs = self.functions[function]["outputs"]
        values = abi_decode(_types(outputs), computation.output) if outputs else ()
        made = tuple(
            _struct(function, *(part["name"] for part in output["components"]))(*value)
            if "components" in output
            else value
            for output, value in zip(outputs, values, strict=True)
        )
        return made if len(made) > 1 else made[0] if made else None

    def read(self, function: str, *args):
        """Result of a view function.

        Raises
        ------
        TaskRefused
            If the contract refuses the question.
        """
        _, computation = self._execute(function, args, self.chain._founder, 0, modify=False)
        if computation.is_error:
            raise TaskRefused(function, _reason(computation))
        return self._result(function, computation)

    def call(self, function: str, *args, sender: str, value: int = 0):
        """Send a transaction, note its receipt and events, and return the function's result.

        Raises
        ------
        TaskRefused
            If the contract, or the machine, undoes the call; the receipt is kept.
        """
        chain, value = self.chain, whole("value", value)
        # Each transaction starts as on a public chain: cold storage, and the state so far as its reference.
        chain._env._reset_access_counters()
        state = chain._env.evm.vm.state
        state.lock_changes()
        for warm in (sender, self.address):
            state.mark_address_warm(Address(warm).canonical_address)
        try:
            data, computation = self._execute(function, args, sender, value, modify=True)
        except InsufficientFunds:  # such a transaction never enters a block, so it takes no gas
            chain.receipts.append(Receipt(function, str(sender), value, 0, "insufficient_funds"))
            raise TaskRefused(function, "insufficient_funds") from None
        refused = _reason(computation) if computation.is_error else None
        given_back = 0 if refused else computation.get_gas_refund()
        gas = transaction_gas(data, computation.get_gas_used(), given_back)
        chain.receipts.append(Receipt(function, str(sender), value, gas, refused))
        if refused:
            raise TaskRefused(function, refused)
        entries = sorted(computation.get_raw_log_entries())  # in the order in which they were logged
        chain._logged += ((chain.now, RawLogEntry(*entry)) for entry in entries)
        return self._result(function, computation)


class Market(Chain):
    """A chain of its own for one of the kit's contracts, or for Vyper source given in its place."""

    contract: str  # the name of its source

    def __init__(self, code: str | None = None):
        super().__init__()
        name = self.contract.title().replace("_", "")
        self._contract = self.deploy(source(self.contract) if code is None else code, name)
        self.address = self._contract.address


def _argument(name: str, kind: str, x):
    """An argument as a contract takes it: a whole number, 32 bytes (also as hex digits), else what was given."""
    if kind == "bytes32":
        with contextlib.suppress(ValueError):
            x = bytes.fromhex(x) if isinstance(x, str) else x
        require(isinstance(x, bytes) and len(x) == 32, name, repr(x), "32 bytes or 64 hex digits")
    return whole(name, x) if kind == "uint256" else x


def _types(entries: list[dict]) -> str:
    """Types of arguments or results as the encoding rules write them, ``(uint256,address)``; structs nest."""
    kinds = (_types(entry["components"]) if "components" in entry else entry["type"] for entry in entries)
    return f"({','.join(kinds)})"


@cache
def _struct(name: str, *fields: str):
    return namedtuple(name, fields)


def _signature(entry: dict) -> str:
    return entry["name"] + _types(entry["inputs"])


def _decoded(chain: Chain, time: int, raw: RawLogEntry) -> Event:
    contract = chain._contracts[raw.address]
    log = decode_log(Address(contract.address), contract.events, raw)
    fields = {
        name: x.hex() if isinstance(x, bytes) else str(x) if isinstance(x, str) else x
        for name, x in zip(log._fields[1:], log[1:])
    }
    return Event(type(log).__name__, time, fields)


def _reason(computation) -> str:
    """The word with which a call failed: the contract's own, or the machine's when that stopped it."""
    output = computation.output
    if output[:4] == ERROR_SELECTOR:
        return abi_decode("(string)", output[4:])[0]
    if isinstance(computation.error, OutOfGas):
        return "out_of_gas"
    return f"unnamed_{type(computation.error).__name__}"
