"""How a network is fed and run: by PyTorch, ONNX Runtime or OpenVINO."""
