"""Settings: frozen values whose defaults, ranges and help texts are written once."""

from napari_convnet.settings.fields import Checked, check_fields, field_options
from napari_convnet.settings.objects import ObjectSettings
from napari_convnet.settings.training import TrainingSettings

__all__ = ["Checked", "ObjectSettings", "TrainingSettings", "check_fields", "field_options"]
