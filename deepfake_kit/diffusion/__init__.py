"""Denoising diffusion: schedules and single steps, samplers, the U-Net and its trainer."""

from __future__ import annotations

from deepfake_kit.diffusion.sampling import sample, sampling_times, trajectory
from deepfake_kit.diffusion.steps import (
    NoiseSchedule,
    Posterior,
    ddim_step,
    ddpm_step,
    dpm_step,
    posterior,
    predict_x0,
    q_sample,
)
from deepfake_kit.diffusion.training import TrainLog, train, train_step
from deepfake_kit.diffusion.unet import UNet
from deepfake_kit.images import to_model_range
from deepfake_kit.training import EMA
