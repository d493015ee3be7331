"""How good generated images are, measured without downloading anything."""
