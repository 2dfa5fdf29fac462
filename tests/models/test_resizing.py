import logging

import torch

from cmsa import create_model
from cmsa.models.windows import resize_bias


def test_a_checkpoint_of_another_size_loads_and_says_so(caplog):
    torch.manual_seed(0)
    small = create_model("cmsa_n", "pose", (16, 12))
    for name, parameter in small.named_parameters():
        if name.endswith(".table"):
            torch.nn.init.normal_(parameter)
    large = create_model("cmsa_n", "pose", (40, 24))
    with caplog.at_level(logging.WARNING, "cmsa"):
        large.load_state_dict(small.state_dict())
    assert "bias tables resized, the first (16, 12) to (40, 24)" in caplog.text
    table = small.stages[0][0].attention.groups[0].table
    wanted = resize_bias(table.detach(), (40, 24))
    assert torch.equal(large.stages[0][0].attention.groups[0].table, wanted)
    assert torch.equal(large.stages[0][0].attention.q.weight, small.stages[0][0].attention.q.weight)


def test_the_callers_tensors_are_left_alone():
    small, large = create_model("cmsa_n", "pose", (16, 12)), create_model("cmsa_n", "pose", (40, 24))
    tensors = small.state_dict()
    large.load_state_dict(tensors)
    assert tensors["stages.0.0.attention.groups.0.table"].shape == (1, 16, 12)


def test_nothing_is_said_where_the_sizes_agree(caplog):
    model = create_model("cmsa_n", "pose", (16, 12))
    with caplog.at_level(logging.WARNING, "cmsa"):
        model.load_state_dict(model.state_dict())
    assert not caplog.text
