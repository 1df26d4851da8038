"""The small image generators of the book: GAN, style-based GAN, VAE, DDPM and face swap."""
