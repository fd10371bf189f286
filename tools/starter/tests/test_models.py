"""The towers under training against the reference that the engine is held to, with the adapters at zero."""
import pytest
import torch

import mma_reference as R
from align import zero_adapters
from lm_model import Lm, LmShape
from optimiser import MuonAdamW, orthogonal
from run_state import Average, load, rate, save
from vit_model import Vit, VitShape


def reference(lm, vit):
    zero = {k: torch.from_numpy(v) for k, v in zero_adapters(lm, vit, 8, 16).items()}
    s, v = lm.shape, vit.shape
    cfg = R.MmaConfig(R.VitConfig(v.image_size, v.patch_size, v.width, v.layers, v.heads, 1), R.LlamaConfig(s.dim, s.layers, s.heads, s.heads, s.vocabulary, 1, s.eps, s.theta), hidden_proj=16, clip_routing="per_sample")
    weights = {**lm.checkpoint(), **vit.checkpoint(), **zero}
    return cfg, {**weights, "output.weight": weights["tok_embeddings.weight"]}


def small():
    torch.manual_seed(1)
    return Lm(LmShape(48, 2, 3, 64, 97, 64)), Vit(VitShape(32, 8, 48, 3, 3))


@torch.no_grad()
def test_class_tokens_are_the_references():
    lm, vit = small()
    cfg, p = reference(lm, vit)
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(torch.stack(vit(images), 1), R.vit_forward(p, cfg, images).features, atol=1e-4)


@torch.no_grad()
def test_logits_are_the_references_behind_the_modality_token():
    lm, vit = small()
    cfg, p = reference(lm, vit)
    ids = torch.randint(3, 97, (1, 20))
    h = torch.cat([p["adapter_modality_embedding.weight"][:1][None], lm.embedding(ids)], 1)
    assert torch.allclose(lm(ids), R.llama_forward(p, cfg, h).logits[:, 1:], atol=1e-4)


@torch.no_grad()
def test_documents_in_a_row_do_not_see_each_other():
    lm, _ = small()
    a, b = torch.randint(3, 97, (1, 9)), torch.randint(3, 97, (1, 7))
    numbers = torch.tensor([[0] * 9 + [1] * 7])
    assert torch.allclose(lm(torch.cat([a, b], 1), numbers)[:, 9:], lm(b), atol=1e-4)


def test_muon_steps_are_orthogonal_and_learning_resumes_to_the_same_numbers(tmp_path):
    u = orthogonal(torch.randn(32, 64))
    singular = torch.linalg.svdvals(u.float())
    assert 0.6 < singular.min() and singular.max() < 1.3

    def make():
        torch.manual_seed(2)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4))
        return model, MuonAdamW([model[0].weight], [model[0].bias, *model[1].parameters()], 0.02, 1e-3), Average(model)

    def step(model, optimiser, average, k):
        for g in optimiser.param_groups:
            g["scale"] = 1.0
        model.zero_grad()
        model(torch.full((3, 8), float(k))).square().sum().backward()
        optimiser.step()
        average.update(model)

    one = make()
    for k in range(6):
        step(*one, k)
    two = make()
    for k in range(3):
        step(*two, k)
    save(tmp_path / "s.pt", {"model": two[0].state_dict(), "optimiser": two[1].state_dict(), "average": two[2].state()})
    three, state = make(), load(tmp_path / "s.pt")
    three[0].load_state_dict(state["model"]), three[1].load_state_dict(state["optimiser"]), three[2].restore(state["average"])
    for k in range(3, 6):
        step(*three, k)
    for a, b in zip(one[0].parameters(), three[0].parameters()):
        assert torch.equal(a, b)
    assert all(torch.equal(one[2].values[k], three[2].values[k]) for k in one[2].values)


def test_the_rate_goes_up_stays_and_comes_down():
    assert rate(0) == 0 and rate(0.5) == 1 and rate(0.69) == 1 and rate(1) == 0
    assert 0 < rate(0.85) < 1


@torch.no_grad()
def test_trained_adapters_do_what_the_references_do():
    from adapted_model import Adapted, AdapterShape
    lm, vit = small()
    start = {k: torch.from_numpy(v) + 0.05 * torch.randn(v.shape) for k, v in zero_adapters(lm, vit, 8, 16).items()}
    model = Adapted(lm, vit, AdapterShape(8, 16), start).eval()
    cfg, p = reference(lm, vit)
    p = {**p, **start}
    images = torch.randn(2, 3, 32, 32)
    features = model.features(images)
    assert torch.allclose(features, R.vit_forward(p, cfg, images).features, atol=1e-4)
    tokens = model.image_tokens(features)
    assert torch.allclose(tokens, R.adapter_mlp(features, p, "adapter_proj."), atol=1e-4)
    slots = torch.randint(3, 97, (3, 14))
    slots[:, :4] = slots[0, :4]
    slots[:, 0] = -1
    slots[[0, 2], 4:7] = torch.tensor([-2, -3, -4])
    modality = torch.tensor([1, 0, 1])
    h = model.embed(slots, modality, tokens)
    for row, (ind, image) in enumerate([(1, tokens[0]), (0, None), (1, tokens[1])]):
        assert torch.equal(h[row], R.embed_slots(p, slots[row].tolist(), ind, image))
    want = R.llama_forward(p, cfg, h)
    assert torch.allclose(model.logits(h, modality), want.logits[:, 1:], atol=1e-3)
    assert torch.allclose(model.hidden(h, modality, 4), model.hidden(h, modality)[:, 3:], atol=1e-5), "the same where a common beginning is computed once"
    table = model.routing_table()
    for layer, w in enumerate(want.routing_attn):
        assert torch.allclose(torch.tensor([table[1][layer], table[0][layer]]), w[:2], atol=1e-4)


def test_fewer_key_heads_than_heads_are_the_references():
    torch.manual_seed(3)
    lm, vit = Lm(LmShape(48, 2, 6, 64, 97, 64, kv_heads=2)).eval(), Vit(VitShape(32, 8, 48, 3, 3))
    cfg, p = reference(lm, vit)
    cfg = R.MmaConfig(cfg.vit, R.LlamaConfig(48, 2, 6, 2, 97, 1, lm.shape.eps, lm.shape.theta), hidden_proj=16, clip_routing="per_sample")
    ids = torch.randint(3, 97, (1, 20))
    with torch.no_grad():
        h = torch.cat([p["adapter_modality_embedding.weight"][:1][None], lm.embedding(ids)], 1)
        assert torch.allclose(lm(ids), R.llama_forward(p, cfg, h).logits[:, 1:], atol=1e-4)


def test_both_trainers_order_an_epoch_alike():
    """The numbers are those of epochOrder in src/train/order.ts."""
    from train_adapters import epoch_order
    assert epoch_order(12, 1, 0) == [0, 9, 8, 5, 10, 1, 4, 2, 7, 6, 3, 11]
    assert epoch_order(12, 7, 3) == [11, 8, 0, 10, 7, 4, 1, 5, 2, 6, 3, 9]


@torch.no_grad()
@pytest.mark.parametrize("ablation", [{"visual": False}, {"routing": False}, {"visual": False, "routing": False}])
def test_an_ablations_file_is_a_whole_set_that_says_the_same(ablation):
    from adapted_model import Adapted, AdapterShape
    lm, vit = small()
    start = {k: torch.from_numpy(v) + 0.05 * torch.randn(v.shape) for k, v in zero_adapters(lm, vit, 8, 16).items()}
    cut = Adapted(lm, vit, AdapterShape(8, 16, **ablation), start).eval()
    kept = cut.checkpoint()
    assert {k: v.shape for k, v in kept.items()} == {k: v.shape for k, v in start.items()}
    whole = Adapted(lm, vit, AdapterShape(8, 16), kept).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(whole.features(images), cut.features(images), atol=1e-5)
    h, modality = torch.randn(2, 9, 48), torch.tensor([1, 0])
    assert torch.allclose(whole.logits(h, modality), cut.logits(h, modality), atol=1e-4)
