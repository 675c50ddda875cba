"""Docks and the few modules that know napari and Qt; they hold no numerics."""
