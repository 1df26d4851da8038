import numpy as np


class Gaussian:
    """New faces from a Gaussian over the principal components of those given."""

    components = 40

    def fit(self, real, generator):
        flat = real.reshape(len(real), -1)
        self.shape, self.mean = real.shape[1:], flat.mean(0)
        _, scale, axes = np.linalg.svd(flat - self.mean, full_matrices=False)
        self.axes = (scale[:, None] * axes)[: self.components] / np.sqrt(len(real) - 1)

    def make(self, generator, n):
        codes = generator.standard_normal((n, len(self.axes)))
        return (self.mean + codes @ self.axes).reshape(n, *self.shape).clip(0, 1)
