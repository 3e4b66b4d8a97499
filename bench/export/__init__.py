"""Trained models as programs of torch.export: scores without the Python code of the model. Training imports none of it."""
