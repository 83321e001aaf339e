"""Attention written out for bfloat16 on a CPU is PyTorch's attention, in value and in gradient, and sees no future."""

import pytest
import torch
from torch.nn import functional

from aifactory_lab.lm.model import attend


def exact(q, k, v):
    """PyTorch's own, in float64."""
    return functional.scaled_dot_product_attention(*(x.double() for x in (q, k, v)), is_causal=True, enable_gqa=True)


@pytest.mark.parametrize(("heads", "kv_heads", "tokens"), [(4, 4, 96), (6, 2, 33), (1, 1, 1)])
def test_written_out_attention_is_as_exact_as_the_fused(heads, kv_heads, tokens):
    random = torch.Generator().manual_seed(0)
    shapes = [(2, heads, tokens, 32), (2, kv_heads, tokens, 32), (2, kv_heads, tokens, 32)]
    parts = [torch.randn(shape, generator=random).bfloat16().requires_grad_() for shape in shapes]
    weights = torch.randn(shapes[0], generator=random).bfloat16()
    wanted = exact(*parts)
    gradients = torch.autograd.grad((wanted * weights).sum(), parts)
    for mixed in (attend(*parts), functional.scaled_dot_product_attention(*parts, is_causal=True, enable_gqa=True)):
        assert mixed.dtype == torch.bfloat16
        assert (mixed.double() - wanted).square().mean().sqrt() < 3e-3  # bfloat16 rounds by 2**-9
        for found, right in zip(torch.autograd.grad((mixed * weights).sum(), parts), gradients, strict=True):
            assert (found - right).square().mean().sqrt() < 1e-2


def test_a_later_token_changes_nothing_before_it():
    q, k, v = torch.randn(3, 1, 2, 8, 32, generator=torch.Generator().manual_seed(1)).bfloat16()
    before = attend(q, k, v)
    k[..., 5, :], v[..., 5, :] = 3.0, -3.0
    after = attend(q, k, v)
    assert torch.equal(before[..., :5, :], after[..., :5, :])
    assert not torch.equal(before[..., 5:, :], after[..., 5:, :])


def test_float32_is_the_fused_kernel_itself():
    q, k, v = torch.randn(3, 2, 3, 16, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(attend(q, k, v), functional.scaled_dot_product_attention(q, k, v, is_causal=True))
