"""What social platforms do to a picture on its way to a reader."""

from __future__ import annotations

from deepfake_kit.social.pipeline import TRUEFACE_SIDE, platform_report, sensitivity, share, share_with_record, upload
from deepfake_kit.social.platforms import PLATFORMS, platform_table
