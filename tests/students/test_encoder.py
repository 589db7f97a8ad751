"""Word order counts, and the encoder ignores what it must not see."""

import torch

from cotutor.students.encoder import Encoder, TextEncoder
from cotutor.tasks import make_task
from cotutor.tasks.base import SpokenEnv
from cotutor.tasks.words import Words


def test_a_text_encoder_tells_a_sentence_from_its_reverse():
    """Learns which of two objects is put next to the other, where the bags of words and of word pairs are equal."""
    torch.manual_seed(0)
    colours = ("red", "blue", "green", "grey")
    words = Words(("put", "the", "ball", "next", "to", *colours), 12)
    pairs = [(a, b) for a in colours for b in colours if a != b]
    texts = [words.encode(f"put the {a} ball next to the {b} ball") for a, b in pairs]
    target = torch.tensor([colours.index(a) for a, _ in pairs])
    encoder = TextEncoder(words.size, 12, 32)
    head = torch.nn.Linear(32, len(colours))
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.01)
    batch = torch.stack([torch.as_tensor(text) for text in texts])
    for _ in range(200):
        loss = torch.nn.functional.cross_entropy(head(encoder(batch)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (head(encoder(batch)).argmax(dim=1) == target).all()


def test_padding_does_not_change_a_text():
    encoder = TextEncoder(50, 12, 16)
    short = torch.tensor([[3, 4, 5, *[0] * 9]])
    longer = torch.tensor([[3, 4, 5, *[0] * 9], [7] * 12])
    assert torch.allclose(encoder(short)[0], encoder(longer)[0], atol=1e-6)


def test_the_image_student_has_no_context():
    task = make_task("babyai:GoToLocal")
    assert "context" not in SpokenEnv(task, "image").observation_space.spaces
    encoder = Encoder(SpokenEnv(task, "image").observation_space)
    assert list(encoder.text) == ["instruction"]
    assert list(Encoder(SpokenEnv(task, "text").observation_space).text) == ["instruction", "context"]


def test_normalised_features_do_not_grow_with_the_weights():
    task = make_task("babyai:GoToLocal")
    env = SpokenEnv(task, "text")
    observation, _ = env.reset(seed=0)
    batch = {name: torch.as_tensor(values)[None] for name, values in observation.items()}

    def growth(layer_norm: bool) -> float:
        torch.manual_seed(0)
        encoder = Encoder(env.observation_space, layer_norm=layer_norm)
        before = encoder(batch).norm()
        with torch.no_grad():
            encoder.join[0].weight *= 50  # pyright: ignore
            encoder.join[0].bias *= 50  # pyright: ignore
        return float((encoder(batch).norm() / before).detach())

    assert growth(layer_norm=False) > 40
    assert abs(growth(layer_norm=True) - 1) < 0.01
