"""A trained model in other forms: one NumPy file, ONNX, one safetensors file."""
