"""Parts of models that several families share and that are no operations: embeddings, mixtures, rotary positions."""
