r"""The best linear guess of the noise, in closed form: what a trained network has to beat.

It knows the mean and the covariance of the data and nothing else, needs no training step, and is exact where the
data are normal. What a network predicts better than this, it owes to knowledge that no covariance holds.
Source: Wiener's filter, here as in Kay, "Fundamentals of Statistical Signal Processing", 1993, section 12.5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepfake_kit.diffusion.steps import NoiseSchedule, at_step, check_step
from deepfake_kit.valid import invalid


class LinearDenoiser(nn.Module):
    r""":math:`\hat\epsilon=\sqrt{1-\bar\alpha_t}\,(\bar\alpha_t\Sigma+(1-\bar\alpha_t)I)^{-1}(x_t-\sqrt{\bar\alpha_t}\,\mu)`.

    Of all linear functions of :math:`x_t` it has the least squared error, for data with mean :math:`\mu` and covariance
    :math:`\Sigma`.

    Parameters
    ----------
    images : Tensor [N, C, H, W]
        Data in the model's range; their mean and covariance are taken over the N images. Memory and time grow as
        (C H W)^2 and (C H W)^3.
    schedule : NoiseSchedule
        The one that the images are noised with.

    Raises
    ------
    ValueError
        For fewer than two images, images that are not floats [N, C, H, W], or, when called, a step outside the
        schedule.

    Examples
    --------
    >>> images = torch.tensor([[[[-1.0]]], [[[1.0]]]])
    >>> LinearDenoiser(images, NoiseSchedule(torch.tensor([0.36])))(torch.ones(1, 1, 1, 1), torch.tensor([0])).item()
    0.6000000238418579
    """

    def __init__(self, images: Tensor, schedule: NoiseSchedule):
        super().__init__()
        if images.ndim != 4 or not images.is_floating_point() or len(images) < 2:
            raise invalid("images", images, "two or more float images [N, C, H, W]")
        self.schedule = schedule
        flat = images.flatten(1)
        mean = flat.mean(0)
        centred = flat - mean
        # In the covariance's own directions the matrix to invert is diagonal.
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(flat))
        self.register_buffer("mean", mean)
        self.register_buffer("variances", variances.clamp(min=0))
        self.register_buffer("directions", directions)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noise in `x` [N, C, H, W] at steps `t` [N] long, from 0."""
        check_step(t, self.schedule)
        alpha_bar = at_step(self.schedule.alpha_bars, t, x[:, :1, 0, 0])
        spread = alpha_bar * self.variances + 1 - alpha_bar
        parts = (x.flatten(1) - alpha_bar.sqrt() * self.mean) @ self.directions.to(spread)
        return (((1 - alpha_bar).sqrt() / spread * parts) @ self.directions.T.to(parts)).reshape(x.shape).to(x)

    def error(self, t: Tensor) -> Tensor:
        r""":math:`\frac1d\sum_k\frac{\bar\alpha_t\lambda_k}{\bar\alpha_t\lambda_k+1-\bar\alpha_t}`: the error left.

        Mean squared, on new data with the same mean and covariance; :math:`\lambda_k` are the covariance's eigenvalues.

        Parameters
        ----------
        t : long Tensor [N]
            Steps, from 0.

        Returns
        -------
        Tensor [N]
            In [0, 1]; predicting zero scores 1.
        """
        check_step(t, self.schedule)
        alpha_bar = at_step(self.schedule.alpha_bars, t, self.variances.new_zeros(len(t), 1))
        return (alpha_bar * self.variances / (alpha_bar * self.variances + 1 - alpha_bar)).mean(1)
