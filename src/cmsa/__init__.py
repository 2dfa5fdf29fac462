"""Vision on low-resolution crops with Cascaded Multi-Scale Attention."""
