"""What one backend does otherwise: an operation a file, which asks which backend it is."""
