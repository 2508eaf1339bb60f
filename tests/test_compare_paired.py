"""Paired tests against their definitions: enumeration, brute force and the libraries that have them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from inference.measure.paired import bootstrap_accuracies, holm, kappa, mcnemar, pairs

counts = st.integers(0, 60)
p_values = st.lists(st.floats(0, 1), max_size=12)


@given(counts, counts)
def test_mcnemar_is_the_binomial_test_of_a_fair_coin_and_its_mid_p_lies_below(first: int, second: int) -> None:
    test = mcnemar(first, second)
    assert (test.only_first, test.only_second) == (first, second)
    if first + second:
        assert test.exact == pytest.approx(binomtest(first, first + second, 0.5).pvalue)
        assert 0 < test.mid_p < test.exact
    else:
        assert (test.exact, test.mid_p) == (1, 1)


@given(counts, counts)
def test_mid_p_counts_half_of_what_is_as_likely_as_what_was_seen(first: int, second: int) -> None:
    from math import comb

    faces = first + second
    chances = [comb(faces, heads) / 2**faces for heads in range(faces + 1)]
    seen = comb(faces, first)
    expected = sum(
        chance * (1 if comb(faces, heads) < seen else 0.5)
        for heads, chance in enumerate(chances)
        if comb(faces, heads) <= seen
    )
    assert mcnemar(first, second).mid_p == pytest.approx(expected if faces else 1)


@given(counts, counts)
def test_mcnemar_does_not_depend_on_who_comes_first(first: int, second: int) -> None:
    one, other = mcnemar(first, second), mcnemar(second, first)
    assert (one.exact, one.mid_p) == pytest.approx((other.exact, other.mid_p))


def test_mid_p_of_a_published_example() -> None:
    # Fagerland et al. 2013, table 1 (Bentur et al.): 1 against 7; exact 0.0703, mid-p 0.0391.
    test = mcnemar(1, 7)
    assert round(test.exact, 4) == 0.0703
    assert round(test.mid_p, 4) == 0.0391


@given(p_values)
def test_holm_is_its_stepwise_definition(values: list[float]) -> None:
    corrected = holm(values)
    for value, found in zip(values, corrected, strict=True):
        ranks = sorted(values)
        smaller = [min(1.0, (len(values) - place) * p) for place, p in enumerate(ranks) if p <= value]
        assert found == pytest.approx(max(smaller))


@given(p_values)
def test_holm_never_lowers_a_p_value_nor_exceeds_bonferroni_s(values: list[float]) -> None:
    for value, found in zip(values, holm(values), strict=True):
        assert value <= found <= min(1, value * len(values)) + 1e-12


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
def test_kappa_is_scikit_learn_s_or_undefined(answers: list[tuple[int, int]]) -> None:
    first, second = np.array(answers).T
    if len(set(first) | set(second)) == 1:
        assert kappa(first, second) is None
    else:
        assert kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


def test_bootstrap_draws_the_same_faces_for_every_model() -> None:
    right = np.random.default_rng(0).random(200) < 0.6
    drawn = bootstrap_accuracies(np.stack([right, right, ~right]), 300)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    np.testing.assert_allclose(drawn[:, 0] + drawn[:, 2], 1)
    assert abs(drawn[:, 0].mean() - right.mean()) < 0.01
    expected = np.sqrt(right.mean() * (1 - right.mean()) / 200)
    assert drawn[:, 0].std() == pytest.approx(expected, rel=0.15)


def test_pairs_find_the_difference_that_is_there_and_none_where_there_is_none() -> None:
    labels = np.arange(700) % 7
    good, bad = labels.copy(), labels.copy()
    good[:70], bad[:350] = (labels[:70] + 1) % 7, (labels[:350] + 1) % 7
    also_good = labels.copy()
    also_good[70:140] = (labels[70:140] + 1) % 7
    found = pairs(labels, np.stack([good, bad, also_good]))
    assert [(pair.first, pair.second) for pair in found] == [(0, 1), (0, 2), (1, 2)]
    assert [pair.differs for pair in found] == [True, False, True]
    assert found[0].difference == pytest.approx(0.4)
    assert found[0].interval[0] < 0.4 < found[0].interval[1]
    assert found[1].interval[0] < 0 < found[1].interval[1]
    assert found[1].agreement == pytest.approx(0.8)
    assert found[0].holm == pytest.approx(holm([pair.mcnemar.mid_p for pair in found])[0])
