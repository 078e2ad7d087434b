"""Learning from the answers of a trained network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import searchkit
from searchkit.data.loading import load_data
from searchkit.errors import SearchkitError
from searchkit.training.recipe import Recipe
from searchkit.training.tasks.losses import TEMPERATURE, distance
from searchkit.training.train import course
from searchkit.training.turns import finish

DATA = load_data("digits")


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def test_the_distance_of_class_scores_is_the_divergence_of_softened_probabilities() -> None:
    torch.manual_seed(0)
    found, wanted = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    p, q = (np.exp(x.numpy() / TEMPERATURE) for x in (wanted, found))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    assert float(distance(found, wanted, "classification")) == pytest.approx(
        TEMPERATURE**2 * float((p * np.log(p / q)).sum(1).mean())
    )
    assert float(distance(found, wanted, "regression")) == pytest.approx(float(((found - wanted) ** 2).mean()))


@pytest.mark.slow
def test_a_student_comes_to_give_the_teachers_answers_and_the_teacher_is_as_it_was() -> None:
    teacher, students = linear(1), [linear(2), linear(2)]
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    x = DATA.val.x.float()
    agreement = []
    for student, share in zip(students, (1.0, 0.0), strict=True):
        recipe = Recipe(steps=200, batch_size=64, distillation=share)
        finish(course(student, DATA, recipe=recipe, device="cpu", teacher=teacher))
        normal = (x - torch.tensor(DATA.mean)[:, None, None]) / torch.tensor(DATA.std)[:, None, None]
        agreement.append(float((student(normal).argmax(1) == teacher(normal).argmax(1)).float().mean()))
    assert agreement[0] > 0.8 > agreement[1]
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert not any(parameter.grad is not None for parameter in teacher.parameters())


def test_a_space_made_of_no_network_has_nobody_to_learn_from() -> None:
    with pytest.raises(SearchkitError, match="distillation learns from the trained network that a space was made of"):
        searchkit.run(recipe={"distillation": 0.5}, budget=1, storage="memory")
    with pytest.raises(SearchkitError, match=r"distillation is in \[0, 1\], not 2"):
        searchkit.run(recipe={"distillation": 2.0}, budget=1, storage="memory")
