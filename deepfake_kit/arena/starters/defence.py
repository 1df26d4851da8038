import numpy as np


class Stripes:
    """The same stripes over every face, as strong as is allowed; no editor is asked."""

    def protect(self, images):
        x = np.arange(images.shape[-1])
        return (images + 0.025 * np.where(x // 2 % 2, 1, -1)).clip(0, 1)
