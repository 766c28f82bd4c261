"""The two synthetic data sets of the reproductions, as described in their papers."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from examples.training import Classifier

DIMENSION, CLASSES = 60, 10


def feddc_problem(participants: int, samples: int) -> tuple[list[Classifier], tuple[torch.Tensor, torch.Tensor]]:
    """FedDC's classification problem: 100 features, 2 classes; a third of 1200 samples is held out for testing.

    Every participant gets `samples` of the rest (Kamp et al. 2023, "Federated Learning from Small Datasets", synthetic
    data). Returns the learners and the test data.
    """
    x, y = make_classification(
        1200,
        100,
        n_informative=20,
        n_redundant=60,
        n_repeated=5,
        n_clusters_per_class=3,
        flip_y=0.02,
        class_sep=1,
        shift=1,
        scale=3,
        random_state=np.random.RandomState(42),
    )
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=1 / 3, random_state=42)
    pool_x, pool_y = torch.from_numpy(train_x).float(), torch.from_numpy(train_y).long()
    order = np.random.default_rng(0).permutation(len(pool_x))[: participants * samples]
    learners = []
    for number, index in enumerate(np.split(order, participants)):
        mine = pool_x[index], pool_y[index]
        learners.append(Classifier(*mine, *mine, seed=number))
    return learners, (torch.from_numpy(test_x).float(), torch.from_numpy(test_y).long())


def fedprox_problem(devices: int, *, alpha: float = 1.0, beta: float = 1.0, seed: int = 0) -> list[Classifier]:
    """synthetic(alpha, beta) of Li et al. 2020, "Federated Optimization in Heterogeneous Networks", section 5.1.

    y = argmax softmax(W x + b) with W, b of every device around a mean from N(0, alpha), x around a mean from
    N(B, 1) with B from N(0, beta), and covariance diag(j^-1.2). Device sizes are lognormal(4, 2) + 50. Each
    device tests on its training data: the mean of these losses, weighted by size, is the objective.
    """
    generator = np.random.default_rng(seed)
    sizes = generator.lognormal(4, 2, devices).astype(int) + 50
    spread = np.arange(1, DIMENSION + 1) ** -0.6  # standard deviations: roots of the variances
    learners = []
    for number, size in enumerate(sizes):
        weight_mean, input_mean = generator.normal(0, alpha), generator.normal(0, beta)
        weight = generator.normal(weight_mean, 1, (DIMENSION, CLASSES))
        bias = generator.normal(weight_mean, 1, CLASSES)
        centre = generator.normal(input_mean, 1, DIMENSION)
        x = generator.normal(centre, spread, (size, DIMENSION))
        inputs = torch.from_numpy(x).float()
        targets = torch.from_numpy((x @ weight + bias).argmax(axis=1)).long()
        learners.append(Classifier(inputs, targets, inputs, targets, seed=number))
    return learners
