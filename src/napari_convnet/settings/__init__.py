"""Settings: frozen values whose defaults, ranges and help texts are written once."""

from napari_convnet.settings.fields import Checked, check_fields, field_options
from napari_convnet.settings.training import TrainingSettings

__all__ = ["Checked", "TrainingSettings", "check_fields", "field_options"]
