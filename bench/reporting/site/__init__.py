"""The pages of the documentation site: those of the repository, in the repository's shape, and a gallery of its figures."""
