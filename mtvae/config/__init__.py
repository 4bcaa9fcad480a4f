"""Declarations of the model core: families, methods, metrics, and the settings of a model and of its training.

This package does not import torch, so that a grid can be validated on a login node in milliseconds. Every section is
closed (an unknown field is an error), frozen, and strict (``"3"`` is not 3). Before `resolve`, ``None`` means "the
default of this family, method or configuration"; after it, ``None`` means "does not apply".
"""

from mtvae.config.architecture import Architecture, resolve_sizes, terms
from mtvae.config.families import FAMILIES, Family, FamilyName
from mtvae.config.generation import Generation
from mtvae.config.methods import METHODS, Method, MethodName, SamplerName
from mtvae.config.metrics import (
    CONDITION_PIXELS,
    CONDITIONED,
    ERROR_AXIS,
    OF_OUTPUTS,
    SCALE_DIGITS,
    SCALES,
    TRAINING_UNCONDITIONED,
    UNCONDITIONED,
    Metric,
    Scale,
)
from mtvae.config.options import (
    Conditioning,
    ConditioningOptions,
    Evaluation,
    Loss,
    Precision,
    Schedule,
    SoftAdapt,
    SoftAdaptVariant,
    Training,
)
from mtvae.config.own_model import Batch, OwnModel, Shape, own_sizes
from mtvae.config.prior import KINDS_OF, KINDS_WITH_LABELS, Prior, PriorKind, kinds_of
from mtvae.config.registry import Choice, Registry, is_plug_in
from mtvae.config.section import Count, Section
from mtvae.config.setting import Setting, Values, constant, setting_is
from mtvae.config.sizes import GaussianSizes, Sizes, VQSizes, size_kind

__all__ = [
    "CONDITIONED",
    "CONDITION_PIXELS",
    "ERROR_AXIS",
    "FAMILIES",
    "KINDS_OF",
    "KINDS_WITH_LABELS",
    "METHODS",
    "OF_OUTPUTS",
    "SCALES",
    "SCALE_DIGITS",
    "TRAINING_UNCONDITIONED",
    "UNCONDITIONED",
    "Architecture",
    "Batch",
    "Choice",
    "Conditioning",
    "ConditioningOptions",
    "Count",
    "Evaluation",
    "Family",
    "FamilyName",
    "GaussianSizes",
    "Generation",
    "Loss",
    "Method",
    "MethodName",
    "Metric",
    "OwnModel",
    "Precision",
    "Prior",
    "PriorKind",
    "Registry",
    "SamplerName",
    "Scale",
    "Schedule",
    "Section",
    "Setting",
    "Shape",
    "Sizes",
    "SoftAdapt",
    "SoftAdaptVariant",
    "Training",
    "VQSizes",
    "Values",
    "constant",
    "is_plug_in",
    "kinds_of",
    "own_sizes",
    "resolve_sizes",
    "setting_is",
    "size_kind",
    "terms",
]
