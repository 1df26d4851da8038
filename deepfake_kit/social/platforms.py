r"""What is known of the pipelines of Facebook, Telegram and Twitter, number by number, with its source.

No platform publishes its pipeline, so each parameter carries the kind of evidence that we could find:

measured
    somebody uploaded pictures and looked at what came back;
reported
    somebody who worked there said so;
source code
    it stands in the code of the very program that does it;
inferred
    it is the default of a library that the company published, which its servers may or may not run.

:func:`deepfake_kit.social.sensitivity` says how much depends on the inferred ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

#: What the inferred parameters might be instead.
ALTERNATIVES = {"subsampling": ("4:2:0", "4:2:2", "4:4:4"), "filter": ("lanczos", "bicubic", "bilinear")}


@dataclass(frozen=True)
class Platform:
    """One documented pipeline. ``sources`` says for each parameter where the number comes from."""

    sides: tuple[int, ...]
    quality: tuple[int, int]
    subsampling: str
    progressive: bool
    filter: str
    sources: dict[str, str] = field(default_factory=dict)


PLATFORMS = {
    "facebook": Platform(
        sides=(720, 960, 2048),
        quality=(75, 85),
        subsampling="4:2:0",
        progressive=True,
        filter="lanczos",
        sources={
            "sides": "reported: the widths 720, 960, 2048 of Facebook's upload advice; 720 measured by "
            "Castiglione et al., A forensic analysis of images on online social networks, INCoS 2011",
            "quality": "measured: 75 by the author of a steganography tool, quoted by R. Heinrich, 2017; "
            "85 by a reader's identify run, Signal Processing Stack Exchange question 74275, 2021",
            "subsampling": "inferred: default of Spectrum, which Facebook published in 2018 to code pictures before "
            "the upload (CHANGELOG 1.0.0; cpp/spectrum/plugins/jpeg/LibJpegCompressor.cpp)",
            "progressive": "measured: the same question 74275",
            "filter": "reported: S. Odio of Facebook, who names GraphicsMagick's Lanczos filter, interviewed by "
            "P. Yuen, An in depth look at Facebook's new photo service, 2010",
            "metadata": "measured: Castiglione et al. 2011, EXIF removed",
        },
    ),
    "telegram": Platform(
        sides=(1280,),
        quality=(80, 87),
        subsampling="4:2:0",
        progressive=True,
        filter="bilinear",
        sources={
            "sides": "source code: PhotoSideLimit = 1280 (option: 2560), Telegram Desktop, localimageloader.cpp",
            "quality": "source code: 80 in Telegram for Android, SendMessagesHelper.generatePhotoSizes; "
            "87 in Telegram Desktop, localimageloader.cpp",
            "subsampling": "source code: Telegram Desktop pull request 25596, 4:4:4 only from quality 90 on",
            "progressive": "source code: setProgressiveScanWrite in Telegram Desktop, localimageloader.cpp",
            "filter": "source code: Qt::SmoothTransformation in Telegram Desktop, a bilinear filter",
            "metadata": "source code: only the pixels are written again",
        },
    ),
    "twitter": Platform(
        sides=(1200, 2048),
        quality=(85, 85),
        subsampling="4:2:0",
        progressive=True,
        filter="lanczos",
        sources={
            "sides": "measured: variants medium (1200, served by default) and large (2048), issue 153 of "
            "afar1/fieldtheory-cli, 2026",
            "quality": "reported: N. O'Brien of Twitter, Upcoming changes to PNG image support, developer forum "
            "2018: 85 wherever the upload's quality is higher",
            "subsampling": "inferred: imagecore, the image library that Twitter published with vireo in 2017, takes "
            "4:2:0 up to quality 95 (imagecore/formats/internal/jpeg.cpp)",
            "progressive": "reported: H. Kermani of Twitter, talk at Mobile @Scale London 2016, summed up in How "
            "Twitter handles 3,000 images per second; first of the goals of Twitter's own "
            "ios-twitter-image-pipeline, README",
            "filter": "inferred: the same library's default for shrinking, Lanczos with three lobes (imagecore/image/"
            "resizecrop.cpp and image.cpp)",
            "metadata": "measured: the press council IPTC's test of 15 sites, Exif and IPTC fields removed, told by "
            "British Journal of Photography, March 2013",
        },
    ),
}


def platform_table() -> pd.DataFrame:
    """List every parameter of every platform with its value, the kind of evidence and the source.

    Returns
    -------
    pandas.DataFrame
        Columns platform, parameter, value, evidence (one of the four kinds above), source.

    Examples
    --------
    >>> sorted(platform_table().evidence.unique())
    ['inferred', 'measured', 'reported', 'source code']
    """
    rows = []
    for name, platform in PLATFORMS.items():
        for parameter, source in platform.sources.items():
            value = "stripped" if parameter == "metadata" else getattr(platform, parameter)
            evidence, _, text = source.partition(":")
            rows.append((name, parameter, str(value), evidence, text.strip()))
    return pd.DataFrame(rows, columns=["platform", "parameter", "value", "evidence", "source"])
