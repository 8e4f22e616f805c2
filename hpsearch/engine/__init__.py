"""The compiled MLP: layout of its memory, its kernels, and the Python face that the rest of the program uses."""
