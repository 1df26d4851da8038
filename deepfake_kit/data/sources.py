"""What each data set is: files, checksums, addresses, licence and terms. Facts only, no reading, no network.

`deepfake_kit.data` looks sets up here; `data_scripts/fetch.py` prints the terms from here.
SHA-256 values are those of the publishers' own files.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def _sums(text: str) -> dict[str, str]:
    """Read lines of ``sha256sum`` output as {name: hash}."""
    return {name: digest for digest, name in (line.split() for line in text.strip().splitlines())}


_FASHION_SUMS = _sums("""
3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84  train-images-idx3-ubyte.gz
a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845  train-labels-idx1-ubyte.gz
346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073  t10k-images-idx3-ubyte.gz
67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5  t10k-labels-idx1-ubyte.gz
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  train-images-idx3-ubyte
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9  train-labels-idx1-ubyte
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b  t10k-images-idx3-ubyte
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34  t10k-labels-idx1-ubyte
""")
_KMNIST_SUMS = _sums("""
51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4  train-images-idx3-ubyte.gz
e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17  train-labels-idx1-ubyte.gz
edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5  t10k-images-idx3-ubyte.gz
20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c  t10k-labels-idx1-ubyte.gz
7112ba9ec422d98de4885262d4a4dff14cc4fefb81c11ace8bf563a8255df5c3  train-images-idx3-ubyte
2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b  train-labels-idx1-ubyte
76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e  t10k-images-idx3-ubyte
a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6  t10k-labels-idx1-ubyte
""")
_EMNIST_SUMS = _sums("""
74295e75e4e9fa2c102147460ee7eb763653d5132d883a84fb88932bfb8d2db4  emnist-balanced-train-images-idx3-ubyte.gz
b46d41e5156a0a8aaaa4d18979fdd1588850fa8571018acffd5d93b325a7d6ed  emnist-balanced-train-labels-idx1-ubyte.gz
117fc12b015e37ea98bfb2cbba3f77c3782c056cdbd219b87abfc8661d7135db  emnist-balanced-test-images-idx3-ubyte.gz
a67cac948379b67270b9a4d0a01c8ec661598accf2f2b1964340b7c83cb175cd  emnist-balanced-test-labels-idx1-ubyte.gz
5f9942f441031c0f1f2e4d162059fd6e19ea808b34c328b6d16cab0ed24c78f2  emnist-mnist-train-images-idx3-ubyte.gz
00c6d3c2342fdffb1711e0b5656cac4ce5862d2826399d383a9bac07d612e9f8  emnist-mnist-train-labels-idx1-ubyte.gz
b25640fa9e356c618132f5df347c95ef5bae6d9c2596be1de40f7e0ae1c3eac6  emnist-mnist-test-images-idx3-ubyte.gz
bcc5385d38f083dba046f5f756e99b32f5ea7fad122c6243c71c2239873065ca  emnist-mnist-test-labels-idx1-ubyte.gz
0a5442aeabc1ec6cf0a8335d81debf853b46a7570f5d93805a4d6ef8b7281063  emnist-mnist-test-images-idx3-ubyte
a0ffd2d4ce92418e020d53cf36f2b6c154c4f59344098a5e8d3c6e588109f0a0  emnist-mnist-test-labels-idx1-ubyte
7ffb6c8677249ba07c350cbec080d80f2b4307cd8c63cfaa10228b3b2050b4ea  emnist-balanced-first2000.npz
""")


@dataclass(frozen=True)
class Source:
    """One data set: where its files lie under a root, what they must hash to, on which terms to use them.

    `folders` are tried in turn under every root. `sha256` maps a file name to its published hash. `urls` maps
    a file name to the publisher's address; empty where a person must ask for the set.
    """

    name: str
    title: str
    licence: str
    terms: str
    citation: str
    folders: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    photographs_of_people: bool = False
    has_stand_in: bool = False
    by_hand: tuple[str, ...] = ()


_PEOPLE = (
    "The persons shown are real and did not agree to be in this project. Use it for teaching, research and testing "
    "only. Do not recognise or identify anybody with it, do not print single photographs, and take a picture out when "
    "its subject asks."
)
_DIGITS = tuple("0123456789")
# Order of the 47 merged classes of the balanced split (emnist-balanced-mapping.txt): digits, capitals, and
# the eleven small letters whose shape differs from their capital.
_BALANCED = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_KMNIST_URL = "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"
_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

EMNIST_ARCHIVE = "gzip.zip"
EMNIST_ARCHIVE_SHA256 = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"


def _emnist(name: str, title: str, classes: tuple[str, ...]) -> Source:
    return Source(
        name=name,
        title=title,
        classes=classes,
        splits=("train", "test"),
        licence="none named by the publisher (made from NIST Special Database 19, a work of the U.S. government)",
        terms="The publisher names no licence and asks that the paper be cited.",
        citation="Cohen, Afshar, Tapson, van Schaik 2017, EMNIST: an extension of MNIST to handwritten "
        "letters, arXiv:1702.05373",
        folders=("EMNIST", "mnist-family/EMNIST"),
        sha256=_EMNIST_SUMS,
        urls={EMNIST_ARCHIVE: "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"},
        has_stand_in=True,
    )


_ALL = (
    Source(
        name="fashion-mnist",
        title="Fashion-MNIST, 28x28 grey garments, 10 classes",
        licence="MIT (Copyright (c) 2017 Zalando SE)",
        terms="Free to use, change and pass on, with the copyright notice kept.",
        citation="Xiao, Rasul, Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747",
        folders=("FashionMNIST/raw", "FashionMNIST", "mnist-family/FashionMNIST/raw", "FashionMNIST/data/fashion"),
        splits=("train", "test"),
        classes=tuple("T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")),
        sha256=_FASHION_SUMS,
        urls={name: _FASHION_URL + name for name in _IDX},
        has_stand_in=True,
    ),
    Source(
        name="kmnist",
        title="Kuzushiji-MNIST, 28x28 grey cursive characters, 10 classes",
        licence="CC BY-SA 4.0",
        terms='Attribution: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created '
        "by NIJL and others), doi:10.20676/00000341. Share adaptations under the same licence.",
        citation="Clanuwat et al. 2018, Deep Learning for Classical Japanese Literature, arXiv:1812.01718",
        folders=("KMNIST/raw", "KMNIST", "mnist-family/KMNIST/raw"),
        splits=("train", "test"),
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        sha256=_KMNIST_SUMS,
        urls={name: _KMNIST_URL + name for name in _IDX},
        has_stand_in=True,
    ),
    _emnist("emnist", "EMNIST, 28x28 grey handwriting, whichever official split is found", ()),
    _emnist("emnist-balanced", "EMNIST balanced split, 28x28 grey handwriting, 47 classes", _BALANCED),
    _emnist("emnist-mnist", "EMNIST mnist split, 28x28 grey digits, 10 classes", _DIGITS),
    Source(
        name="ffhq-stylegan",
        title="real (FFHQ) against generated (StyleGAN2, StyleGAN3) faces, 128x128",
        licence="CC BY-NC-SA 4.0 (FFHQ part); non-commercial (StyleGAN part)",
        terms="Non-commercial research and teaching only; not for development or improvement of facial recognition. "
        "Children occur. " + _PEOPLE,
        citation="Karras, Laine, Aila 2019, A Style-Based Generator Architecture for GANs, arXiv:1812.04948",
        folders=("ffhq-vs-stylegan-128", "faces/ffhq-vs-stylegan-128"),
        splits=("train", "val"),
        classes=("real", "fake"),
        photographs_of_people=True,
        sha256={
            "ffhq_vs_stylegan_128.zip": "0cb6fa8aa193a700d6d6cedc027b5add5b93195e7f4db96121e0cc4407cf4c1f",
            "index.csv": "d0a50b1bde01aa9afa1d40ad363bf254603e761cbdc1f1dacb94540a96c79830",
        },
        by_hand=(
            "This curated archive has no public address: ask the authors of the book for "
            "ffhq_vs_stylegan_128.zip, or copy it from a colleague who has it.",
            "Put it at {root}/ffhq-vs-stylegan-128/ffhq_vs_stylegan_128.zip, or let the script do so: "
            "fetch.py ffhq-stylegan --accept-terms --from FILE",
        ),
    ),
    Source(
        name="fairface",
        title="FairFace, faces with annotated gender, age and race",
        licence="CC BY 4.0",
        terms="Attribution to the authors. Labels are annotators' impressions, not facts about the persons. " + _PEOPLE,
        citation="Karkkainen and Joo 2021, FairFace, WACV",
        folders=("fairface-sub64", "faces/fairface-sub64"),
        splits=("train", "val"),
        photographs_of_people=True,
        sha256={"fairface_sub64.npz": "980449ae764d12056a9f4b7b826398205cbc674217aa77f7a98c685b746e8093"},
        by_hand=(
            "This curated 64x64 subset has no public address: ask the authors of the book for fairface_sub64.npz, "
            "or make one from github.com/joojs/fairface.",
            "Put it at {root}/fairface-sub64/fairface_sub64.npz, or let the script do so: "
            "fetch.py fairface --accept-terms --from FILE",
        ),
    ),
    Source(
        name="trueface",
        title="TrueFace, FFHQ, StyleGAN and StyleGAN2 faces before and after social networks",
        licence="see the terms on the data set's own page; its real part is FFHQ (CC BY-NC-SA 4.0)",
        terms="Research use; cite the paper. " + _PEOPLE,
        citation="Boato et al. 2022, TrueFace, IEEE IJCB, doi:10.1109/IJCB54206.2022.10007988",
        folders=("TrueFace", "trueface"),
        splits=("train", "test", "train-shared", "test-shared"),
        classes=("real", "fake"),
        photographs_of_people=True,
        by_hand=(
            "Start from doi.org/10.5281/zenodo.7065064 (the Twitter part; the other parts are linked there) and "
            "download the archives you need.",
            "Unpack them so that TrueFace_PreSocial/ and TrueFace_PostSocial/ lie side by side, and run: "
            "fetch.py trueface --accept-terms --from FOLDER",
        ),
    ),
    Source(
        name="140k-faces",
        title="140k real and fake faces: 70,000 FFHQ against 70,000 StyleGAN, 256x256",
        licence="as given on its Kaggle page; the real part is FFHQ (CC BY-NC-SA 4.0)",
        terms="Non-commercial research and teaching only. A Kaggle account is needed. " + _PEOPLE,
        citation="xhlulu, 140k Real and Fake Faces, Kaggle 2020; Karras, Laine, Aila 2019",
        folders=("140k-faces", "real_vs_fake", "real-vs-fake"),
        splits=("train", "valid", "test"),
        classes=("real", "fake"),
        photographs_of_people=True,
        by_hand=(
            "Sign in at kaggle.com/datasets/xhlulu/140k-real-and-fake-faces and download the archive (or run: kaggle "
            "datasets download -d xhlulu/140k-real-and-fake-faces).",
            "Run: fetch.py 140k-faces --accept-terms --from ARCHIVE.zip",
        ),
    ),
)
SOURCES: dict[str, Source] = {source.name: source for source in _ALL}
