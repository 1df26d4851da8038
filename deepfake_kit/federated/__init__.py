"""Federated training: clients train on their own images, a server averages their weights."""

from __future__ import annotations

from deepfake_kit.federated.aggregation import flatten, unflatten
from deepfake_kit.federated.batched import BatchedWorker
from deepfake_kit.federated.client import client_seed, load_vector, local_update
from deepfake_kit.federated.moments import Components, Moments
from deepfake_kit.federated.partition import partition_dirichlet, partition_iid, partition_shards
from deepfake_kit.federated.plan import History, Plan
from deepfake_kit.federated.training import combine, train
