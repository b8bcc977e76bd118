"""Controls of SALT (Li et al. 2025): its teacher trained for the whole budget, and its student of an untrained teacher.

Source: arXiv 2509.24317; no code was read.
Kept: salt-teacher is stage 1 throughout; random-teacher is stage 2 throughout, its teacher a network of the same size with
its initial weights.
Differs: everything that SALT's file says.
Not verified: whether the paper's own controls have the budget of both stages.
Published: no small setting.
Tests: test_methods_salt.py, test_methods.py.
"""

from jepakit.methods.salt import FACTS, SALT, reconstruction, student
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Size


@methods.register("salt-teacher", family="mae", paper="Li et al. 2025, stage 1 only", **FACTS)
def salt_teacher(modality: Modality, size: Size) -> MaskedJEPA:
    """The teacher of stage 1, trained for the whole budget: what the student has to beat."""
    return reconstruction(modality, size)


@methods.register("random-teacher", family="jepa", paper="Li et al. 2025, untrained", **FACTS)
def random_teacher(modality: Modality, size: Size) -> SALT:
    """The student of a teacher that was never trained: what distillation alone is worth."""
    return student(modality, size, vit(modality, size))
