"""Federated training on many machines: :mod:`deepfake_kit.federated` as a Flower app.

Needs the package ``flwr`` (tested with 1.41), which the kit does not install: give it an environment of its
own. This folder is the whole app; every key of `DEFAULTS` can be set under ``[tool.flwr.app.config]`` of its
``pyproject.toml`` or with ``flwr run --run-config``. On a cluster, every machine has the kit, ``flwr`` and the data
set, and the server a TLS certificate; ``--insecure`` in place of the certificates does for a loopback trial::

    server      flower-superlink --host 0.0.0.0 --port 8000 --ssl-ca-certfile ca.crt
                    --ssl-certfile server.pem --ssl-keyfile server.key
    device K    flower-supernode --superlink SERVER:8000 --root-certificates ca.crt
                    --node-config "partition-id=K num-partitions=N"
    anywhere    flwr run FOLDER cluster --stream --run-config "rounds=100 clients=N"

where ``cluster`` is a ``[superlink.cluster]`` in the file ``config.toml`` of Flower's home folder, with
``address = "SERVER:8000"`` and ``root-certificates = "ca.crt"``. Each machine loads the data set by name and
keeps to its own part; only weights travel. With the same seeds the result equals
:func:`deepfake_kit.federated.train` in one process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from deepfake_kit import federated
from deepfake_kit.diffusion import NoiseSchedule, UNet
from deepfake_kit.federated.aggregation import flatten
from deepfake_kit.federated.plan import Plan
from deepfake_kit.training import seeded
from deepfake_kit.valid import one_of

#: Run settings and their defaults. `clients` is how many devices the server waits for; `alpha` 0 deals IID;
#: `aggregate-by` "kit" uses :func:`federated.combine`, "flower" Flower's own FedAvg; `output` names a file
#: for the final weights, "" for none.
DEFAULTS: dict[str, Any] = {
    "data": "fashion-mnist",
    "n-images": 2000,
    "alpha": 0.1,
    "rounds": 2,
    "local-steps": 10,
    "batch-size": 8,
    "lr": 0.006,
    "seed": 0,
    "width": 16,
    "diffusion-steps": 1000,
    "prox": 0.0,
    "optimizer": "adamw",
    "rule": "mean",
    "aggregate-by": "kit",
    "clients": 2,
    "output": "",
}


CHOICES = ("rounds", "local_steps", "batch_size", "lr", "seed", "optimizer", "prox", "rule")  # those of a `Plan`


class Setup(NamedTuple):
    """What every participant makes for itself from the run's settings."""

    model: nn.Module
    images: Tensor
    parts: list[Tensor]
    schedule: NoiseSchedule
    plan: Plan


def setup(config: dict, clients: int) -> Setup:
    """Model, images, partition, schedule and plan that follow from a run's settings.

    Parameters
    ----------
    config : dict
        Overrides of `DEFAULTS`.
    clients : int
        Number of devices.

    Raises
    ------
    ValueError
        For an unknown key, or a value that the kit refuses.

    Examples
    --------
    >>> setup({"alhpa": 1}, 2)
    Traceback (most recent call last):
    ValueError: run setting: got 'alhpa'; did you mean 'alpha'? valid: ...
    """
    from deepfake_kit import data

    for key in config:
        one_of("run setting", key, DEFAULTS)
    c = {**DEFAULTS, **config}
    found = data.load(c["data"], "train", limit=c["n-images"])
    draws = torch.Generator().manual_seed(c["seed"])
    if c["alpha"]:
        parts = federated.partition_dirichlet(found.labels, clients, c["alpha"], draws)
    else:
        parts = federated.partition_iid(len(found), clients, draws)
    with seeded(c["seed"]):
        model = UNet(channels=(c["width"],), blocks=1, stem=2, attention=False, precision="float32")
    plan = Plan(**{name: c[name.replace("_", "-")] for name in CHOICES})
    return Setup(model, found.images, parts, NoiseSchedule.linear(c["diffusion-steps"]), plan)


def as_arrays(weights: Tensor):
    """Flat weights [P] as Flower's ArrayRecord."""
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({"weights": Array(weights.cpu().numpy())})


def as_weights(arrays) -> Tensor:
    """Flat weights [P] from Flower's ArrayRecord; a copy."""
    return torch.from_numpy(np.array(arrays["weights"].numpy()))


def _train(message, context):
    """One round at one device: weights in; weights, loss and number of images out."""
    from flwr.app import Message, MetricRecord, RecordDict

    client, clients = (int(context.node_config[key]) for key in ("partition-id", "num-partitions"))
    made = setup(dict(context.run_config), clients)
    round = int(message.content["config"]["server-round"]) - 1  # Flower counts rounds from 1
    start, part = as_weights(message.content["arrays"]), made.parts[client]
    weights, loss = federated.local_update(
        made.model, start, made.images, part, made.schedule, made.plan, round, client
    )
    metrics = MetricRecord({"num-examples": len(made.parts[client]), "loss": loss, "client": client})
    return Message(content=RecordDict({"arrays": as_arrays(weights), "metrics": metrics}), reply_to=message)


def _serve(grid, context) -> None:
    """All rounds at the server."""
    config = dict(context.run_config)
    nodes = _wait_for_nodes(grid, int(config.get("clients", DEFAULTS["clients"])))
    made = setup(config, len(nodes))
    weights = flatten(made.model.state_dict())
    by = one_of("aggregate-by", config.get("aggregate-by", "kit"), ("kit", "flower"))
    weights = (_flower_rounds if by == "flower" else _kit_rounds)(grid, nodes, made, weights)
    if config.get("output"):
        np.save(config["output"], weights.numpy())


def _wait_for_nodes(grid, count: int, seconds: float = 120.0) -> list[int]:
    import time

    deadline = time.monotonic() + seconds
    while len(nodes := sorted(grid.get_node_ids())) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(nodes)} of {count} devices are connected after {seconds:g} s")
        time.sleep(0.2)
    return nodes[:count]


def _kit_rounds(grid, nodes: list[int], made: Setup, weights: Tensor) -> Tensor:
    from flwr.app import ConfigRecord, Message, MessageType, RecordDict
    from flwr.common.logger import log

    server, sizes = None, [len(part) for part in made.parts]
    for round in range(made.plan.rounds):
        content = RecordDict({"arrays": as_arrays(weights), "config": ConfigRecord({"server-round": round + 1})})
        sent = [Message(content=content, message_type=MessageType.TRAIN, dst_node_id=node) for node in nodes]
        updates, complaints = collect(grid.send_and_receive(sent), len(sizes))
        weights, rejected, server = federated.combine(updates, weights, sizes, made.plan, round, server)
        complaints += [f"the update of client {client} {reason}" for client, reason in rejected.items()]
        for complaint in complaints:
            log(30, "round %d: %s", round, complaint)  # 30: warning
    return weights


def collect(answers: Iterable[Any], clients: int) -> tuple[dict[int, Tensor], list[str]]:
    """Updates by client from the nodes' answers, and what was wrong with the answers left out.

    A node says itself which client it is, so no number may be taken on trust: one that does not exist would
    end the server, one named twice would silence another client. Of two such answers the first counts.

    >>> collect([], clients=2)
    ({}, [])
    """
    updates: dict[int, Tensor] = {}
    complaints = []
    for answer in answers:
        if answer.has_error():
            complaints.append(f"a node answers with an error: {answer.error.reason}")
            continue
        client = int(answer.content["metrics"]["client"])
        if not 0 <= client < clients:
            complaints.append(f"a node calls itself client {client}; valid are 0 to {clients - 1}")
        elif client in updates:
            complaints.append(f"two nodes call themselves client {client}")
        else:
            updates[client] = as_weights(answer.content["arrays"])
    return dict(sorted(updates.items())), complaints


def _flower_rounds(grid, nodes: list[int], made: Setup, weights: Tensor) -> Tensor:
    from flwr.serverapp.strategy import FedAvg

    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=len(nodes), min_available_nodes=len(nodes))
    result = strategy.start(grid=grid, initial_arrays=as_arrays(weights), num_rounds=made.plan.rounds)
    return as_weights(result.arrays)


def __getattr__(name: str):
    # Made on demand, so that the rest of this module can be used and tested without Flower.
    if name == "client_app":
        from flwr.clientapp import ClientApp

        app = ClientApp()
        app.train()(_train)
        return app
    if name == "server_app":
        from flwr.serverapp import ServerApp

        app = ServerApp()
        app.main()(_serve)
        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
