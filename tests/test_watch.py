# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A watch: what is normal is learned, what is not is said once, and false alarms are as rare as stated."""

import json
from dataclasses import replace

import numpy as np
import pytest
from radiofm_ml.evaluate.watch_check import WATCHED, World, false_alarms, interval, seconds_to_find
from radiofm_ml.watch import rates, state
from radiofm_ml.watch import watch as watch_module
from radiofm_ml.watch.events import KINDS, Event
from radiofm_ml.watch.presence import MAX_PLACES, Label, Place, join_hops
from radiofm_ml.watch.settings import Settings
from radiofm_ml.watch.state import WatchError
from radiofm_ml.watch.watch import Watch

F = 433.92e6


def event(time, label="lora", frequency=F, seconds=0.1, width=10e3):
    return Event(time, time + seconds, label, frequency - width / 2, frequency + width / 2)


def every(step, until, since=0.0, **about):
    return [event(time, **about) for time in np.arange(since, until, step).tolist()]


def merged(*parts):
    return sorted((e for part in parts for e in part), key=lambda e: e.stop)


def taught(*more, **settings):
    """A watch that has learned 'lora' every 100 s at F, and what else is given, for an hour."""
    watch = Watch(Settings(**{"false_alarms": 0.1, **settings}))
    assert watch.learning and watch.feed(merged(every(100.0, 3600.0), *more)) == []
    assert watch.advance(3600.0) == [] and not watch.learning and watch.listened == 3600.0
    return watch


# -- what is new -------------------------------------------------------------------------------------------
def test_a_new_label_is_said_once_with_time_and_frequency():
    watch = taught()
    alarms = watch.feed(merged(every(100.0, 9000.0, 3600.0),
                               every(60.0, 9000.0, 5000.0, label="unknown 7", frequency=434.1e6)))
    assert [alarm.kind for alarm in alarms] == ["new"]
    alarm = alarms[0]
    assert alarm.label == "unknown 7" and alarm.since == 5000.0 and 5000.0 < alarm.time < 5300.0
    assert (alarm.freq_lower, alarm.freq_upper) == pytest.approx((434.095e6, 434.105e6))
    assert "heard" in alarm.reason and "never in 60 min of learning" in alarm.reason


def test_a_known_label_elsewhere_has_moved():
    watch = taught()
    alarms = watch.feed(merged(every(100.0, 9000.0, 3600.0), every(60.0, 9000.0, 5000.0, frequency=F + 50e3)))
    assert [(a.kind, a.label) for a in alarms] == [("moved", "lora")]
    assert alarms[0].freq_lower == pytest.approx(F + 45e3)
    # not where the frequency is off by less than half of the bandwidth, or than what is allowed
    usual = every(100.0, 9000.0, 3600.0)
    assert taught().feed(merged(usual, every(60.0, 9000.0, 5e3, frequency=F + 4e3))) == []
    assert taught(tolerance=60e3).feed(merged(usual, every(60.0, 9000.0, 5e3, frequency=F + 50e3))) == []


def test_silence_is_said_once_and_again_after_it_came_back():
    watch = taught()
    alarms = watch.feed(every(100.0, 5000.0, 3600.0)) + watch.advance(20000.0)
    assert [(a.kind, a.label, a.since) for a in alarms] == [("silent", "lora", pytest.approx(4900.1))]
    assert 300.0 < alarms[0].time - 4900.0 < 3000.0 and "not heard for" in alarms[0].reason
    assert watch.advance(30000.0) == []
    alarms = watch.feed(every(100.0, 31000.0, 30000.0)) + watch.advance(50000.0)
    assert [a.kind for a in alarms] == ["silent"] and alarms[0].since == pytest.approx(30900.1)


def test_the_moment_of_silence_does_not_depend_on_who_asks():
    late, often = taught(), taught()
    found = [late.advance(20000.0), sum((often.advance(t) for t in np.arange(3600.0, 20000.0, 7.0)), [])]
    assert found[0] == found[1] and len(found[0]) == 1


def test_what_came_seldom_is_not_missed():
    watch = taught([event(500.0, "rare"), event(2500.0, "rare")])
    assert watch.feed(every(100.0, 60000.0, 3600.0)) == []


def test_a_signal_that_is_always_on_is_missed():
    parts = every(1.0, 3600.0, label="carrier", frequency=434.5e6, seconds=1.0)
    watch = taught(parts)
    alarms = watch.feed(every(100.0, 9000.0, 3600.0))
    assert [(a.kind, a.label) for a in alarms] == [("silent", "carrier")] and alarms[0].time < 3600.0 + 1200.0


def test_a_signal_that_begins_and_stays_is_new():
    carrier = every(1.0, 9000.0, 6000.0, label="carrier", frequency=434.5e6, seconds=1.0)
    alarms = taught().feed(merged(every(100.0, 9000.0, 3600.0), carrier))
    assert [(a.kind, a.label, a.since) for a in alarms] == [("new", "carrier", 6000.0)]
    assert alarms[0].time < 6300.0


def test_where_a_new_label_is_heard_is_learned_before_it_can_move():
    hops = [event(t, "unknown 3", 434e6 + 30e3 * (i % 5)) for i, t in enumerate(np.arange(5e3, 9e3, 20.0))]
    alarms = taught().feed(merged(every(100.0, 9000.0, 3600.0), hops))
    assert [(a.kind, a.label) for a in alarms] == [("new", "unknown 3")]


def test_a_label_that_hops_does_not_move():
    rng = np.random.default_rng(1)
    hops = [event(t, "hopper", 440e6 + rng.uniform(0, 5e6)) for t in np.sort(rng.uniform(0, 9000, 900))]
    early, later = [h for h in hops if h.stop < 3600], [h for h in hops if h.start >= 3600]
    watch = taught(early)
    assert watch.feed(merged(every(100.0, 9000.0, 3600.0), later)) == []
    assert len(watch._labels["hopper"].places) < 40
    again = [replace(e, start=e.start + 5400, stop=e.stop + 5400) for e in later if e.stop < 6600]
    alarms = watch.feed(merged(every(100.0, 12000.0, 9000.0), again,
                               every(50.0, 12000.0, 9000.0, label="hopper", frequency=430e6)))
    assert [(a.kind, a.label) for a in alarms] == [("moved", "hopper")] and alarms[0].freq_upper < 431e6


def test_the_rarer_false_alarms_may_be_the_more_has_to_be_seen():
    when = {}
    for rate in (0.01, 1.0, 30.0):
        alarms = taught(false_alarms=rate).feed(every(60.0, 9000.0, 5000.0, label="new"))
        when[rate] = next(a.time for a in alarms if a.kind == "new")
    assert when[0.01] > when[1.0] > when[30.0] == pytest.approx(5000.0)


# -- names and streams -------------------------------------------------------------------------------------
def test_a_name_for_a_group_is_no_news():
    watch = taught(every(50.0, 3600.0, label="unknown 2", frequency=434.1e6))
    watch.rename("unknown 2", "weather")
    assert watch.feed(merged(every(100.0, 9000.0, 3600.0),
                             every(50.0, 9000.0, 3600.0, label="weather", frequency=434.1e6))) == []
    watch.rename("weather", "lora")  # and one that goes into another takes its places along
    alarms = watch.feed(merged(every(100.0, 12000.0, 9000.0),
                               every(50.0, 10000.0, 9000.0, frequency=434.1e6)))
    assert [(a.kind, a.label, round(a.freq_lower / 1e5)) for a in alarms] == [("silent", "lora", 4341)]
    watch.rename("nobody", "lora")


def test_a_name_that_is_given_while_it_learns():
    watch = Watch(Settings(learn=3600.0))
    one, two = every(50.0, 1800.0, label="unknown 1"), every(50.0, 3700.0, label="unknown 2")
    watch.feed(merged(every(100.0, 1800.0), one, [e for e in two if e.stop < 1800.0]))
    watch.rename("unknown 1", "unknown 2")
    assert watch.feed(merged(every(100.0, 3700.0, 1800.0), [e for e in two if e.stop > 1800.0])) == []
    assert not watch.learning and set(watch.labels) == {"lora", "unknown 2"}


def test_what_was_not_heard_is_no_silence():
    watch = taught()
    watch.skip(50000.0)
    assert watch.feed(every(100.0, 56000.0, 53600.0)) == []
    assert watch.listened == pytest.approx(3600.0 + 2400.0, abs=100.0)


def test_a_file_shorter_than_the_learning_is_learned_whole():
    watch = Watch(Settings(learn=3600.0, pause=5.0))
    with pytest.raises(ValueError, match="nothing to learn from"):
        watch.end_learning()
    watch.feed(every(10.0, 600.0))
    watch.end_learning()
    assert not watch.learning and watch.blind == ()
    alarms = watch.feed(every(10.0, 4000.0, 600.0, label="new", frequency=F + 1e6))
    assert {a.kind for a in alarms} == {"new", "silent"}


def test_what_cannot_be_found_is_said():
    watch = Watch(Settings(false_alarms=1e-4, learn=3600.0))
    watch.feed(every(10.0, 60.0))
    assert watch.blind == ()
    watch.end_learning()
    assert watch.blind == ("new", "moved")
    assert watch.feed(every(10.0, 3600.0, 60.0, label="new", frequency=F + 1e6)) == []


def test_what_ended_while_it_was_learned_is_not_missed():
    assert taught(every(1.0, 900.0, label="brief", frequency=F + 1e5)).advance(4000.0) == []
    alarms = taught(every(1.0, 900.0, label="brief")).feed(every(100.0, 6500.0, 3600.0))
    assert [(a.kind, a.label) for a in alarms] == [("silent", "brief")] and alarms[0].time > 6200.0


def test_a_watch_goes_on_where_it_was_saved(tmp_path):
    more = merged(every(100.0, 5000.0, 3600.0), every(60.0, 4700.0, 4650.0, label="unknown 7"))
    rest = merged(every(60.0, 9000.0, 5000.0, label="unknown 7"), every(40.0, 6000.0, 5000.0, label="lora 2"))
    whole = taught()
    expected = whole.feed(more) + whole.feed(rest) + whole.advance(9000.0)
    watch = taught()
    found = watch.feed(more)
    watch.advance(5000.0)
    state.save(watch, tmp_path / "here.json")
    later = state.load(tmp_path / "here.json")
    assert later.settings == watch.settings and later.listened == 5000.0 and not later.learning
    later.advance(100000.0)  # another day's clock
    found += [replace(a, time=a.time - 95000.0, since=a.since - 95000.0) for a in later.feed(
        [replace(e, start=e.start + 95000.0, stop=e.stop + 95000.0) for e in rest]) + later.advance(104000.0)]
    assert len(found) == len(expected) >= 2
    for one, other in zip(found, expected, strict=True):
        assert (one.kind, one.label, one.reason) == (other.kind, other.label, other.reason)
        assert (one.time, one.since) == pytest.approx((other.time, other.since))
    state.save(later, tmp_path / "here.json")  # its own may be replaced


def test_learning_goes_on_after_loading(tmp_path):
    watch = Watch(Settings(learn=3600.0))
    watch.feed(every(100.0, 1800.0))
    state.save(watch, tmp_path / "here.json")
    watch = state.load(tmp_path / "here.json")
    assert watch.learning and watch.feed(every(100.0, 2500.0)) == [] and not watch.learning


@pytest.mark.parametrize("damage", [
    lambda v: v.update(format="other"), lambda v: v.update(format_version=2), lambda v: v.pop("now"),
    lambda v: v.update(now=-1.0), lambda v: v.update(learned="x"), lambda v: v.update(labels=[]),
    lambda v: v["labels"]["lora"].update(visits=-1), lambda v: v["labels"]["lora"].update(more=1),
    lambda v: v["labels"]["lora"]["places"][0].update(width=-1.0),
    lambda v: v["labels"]["lora"]["places"][0].update(recent=[True]),
    lambda v: v["labels"]["lora"].update(places={}), lambda v: v["settings"].update(learn=0),
    lambda v: v["settings"].update(other=1), lambda v: v["seen"].update(new=[0]),
    lambda v: v["seen"].update(odd=v["seen"]["new"]), lambda v: v.update(seen=[]),
    lambda v: v.update(pause=0), lambda v: v.update(seen={}), lambda v: v["seen"]["new"].__setitem__(0, -1)])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "here.json"
    state.save(taught(), path)
    values = json.loads(path.read_text())
    damage(values)
    path.write_text(json.dumps(values))
    with pytest.raises(WatchError, match=r"here.json: (damaged .*; learn anew|holds no watch; choose)"):
        state.load(path)


def test_a_file_that_is_something_else_stays(tmp_path):
    for name, content in (("a.json", "{}"), ("b.json", "no json"), ("c.txt", "x")):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(WatchError, match=name):
            state.save(taught(), path)
        assert path.read_text() == content
    with pytest.raises(WatchError, match="cannot be read"):
        state.load(tmp_path / "none.json")


@pytest.mark.parametrize("make", [
    lambda: Settings(false_alarms=0.0), lambda: Settings(false_alarms=float("nan")),
    lambda: Settings(learn=0),
    lambda: Settings(pause=-1.0), lambda: Settings(learn=100.0, pause=11.0), lambda: Settings(tolerance=-1.0),
    lambda: Event(1.0, 0.0, "a", 0.0, 1.0), lambda: Event(0.0, 1.0, "a", 1.0, 0.0),
    lambda: Event(0.0, float("inf"), "a", 0.0, 1.0), lambda: Event(0.0, 1.0, "", 0.0, 1.0),
    lambda: Watch().advance(float("nan")), lambda: Watch().skip(-1.0)])
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()


# -- other settings, other streams, groups that split -------------------------------------------------------
def test_another_rate_holds_from_now_on():
    strict, other = taught(false_alarms=0.01), taught(false_alarms=0.01)
    other.change(false_alarms=30.0, tolerance=5e3)
    assert other.settings == replace(strict.settings, false_alarms=30.0, tolerance=5e3)
    when = [next(a.time for a in watch.feed(every(60.0, 9000.0, 5000.0, label="new")) if a.kind == "new")
            for watch in (strict, other)]
    assert when[0] > when[1] == pytest.approx(5000.0)
    strict.change(learn=1.0)  # it has learned
    assert strict.settings.learn == 3600.0
    with pytest.raises(ValueError, match="false_alarms must"):
        strict.change(false_alarms=0.0)


def test_learning_may_be_made_shorter():
    watch = Watch(Settings(learn=3600.0, pause=5.0))
    watch.feed(every(100.0, 1800.0))
    watch.change(learn=2000.0)
    assert watch.learning
    watch.change(learn=900.0)
    assert not watch.learning and watch.listened == pytest.approx(1700.1)


def test_another_stream_follows_what_was_heard():
    watch = taught()
    watch.begin(50000.0)
    assert watch.feed(every(100.0, 52000.0, 50000.0)) == [] and watch.listened == pytest.approx(5500.1)
    watch.begin()
    assert watch.advance(10.0) == [] and watch.listened == pytest.approx(5510.1)
    with pytest.raises(ValueError, match="must be"):
        watch.begin(float("nan"))


def test_a_part_of_a_group_is_no_news():
    def split(watch):
        watch.split("unknown 1", "unknown 2")
        watch.split("nobody", "unknown 3")
        return watch

    usual = every(50.0, 3600.0, label="unknown 1", frequency=434.1e6)
    other = every(50.0, 9000.0, 3600.0, label="unknown 2", frequency=434.1e6)
    both = merged(every(100.0, 9000.0, 3600.0), every(50.0, 9000.0, 3600.0, label="unknown 1",
                                                      frequency=434.1e6), other)
    assert [(a.kind, a.label) for a in taught(usual).feed(both)] == [("new", "unknown 2")]
    assert split(taught(usual)).feed(both) == []
    learning = Watch(Settings(false_alarms=0.1))
    learning.feed(merged(every(100.0, 1800.0), [e for e in usual if e.stop < 1800]))
    split(learning).feed([e for e in merged(every(100.0, 3600.0), usual) if e.start > 1800])
    assert learning.advance(3600.0) == [] and learning.feed(both) == []
    # nor is it missed: how often it comes is not known
    rest = [e for e in both if e.label != "unknown 2"]
    assert split(taught(usual)).feed(rest) == []


# -- bounded memory ----------------------------------------------------------------------------------------
def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(watch_module, "MAX_LABELS", 20)
    watch = taught([event(10.0 + i, "many", F + 100e3 * i) for i in range(1000)])
    assert len(watch._labels["many"].places) <= MAX_PLACES
    watch.feed([event(4000.0 + i, f"label {i}") for i in range(200)])
    assert len(watch._labels) == 20 and "lora" in watch._labels
    watch.feed([event(5000.0 + i / 10, frequency=F + 100e3 * (i + 1)) for i in range(1000)])
    assert len(watch._labels["lora"].new) <= MAX_PLACES


# -- the arithmetic ----------------------------------------------------------------------------------------
def test_the_rate_of_what_was_never_heard():
    """Against simulation: sources whose rates spread over decades, a stretch T, then m visits within w."""
    rng = np.random.default_rng(2)
    sources = np.exp(rng.uniform(np.log(0.01), np.log(20.0), (4000, 40)))  # per unit of time, T = 1
    seen = rng.poisson(sources)
    for visits, window in ((1, 0.1), (2, 0.1), (3, 0.3)):
        counts = (seen == visits).sum(1)
        stated = visits * counts * window**(visits - 1)
        after, never = 0.02, seen == 0
        hits = np.zeros(len(seen))
        for run, source in zip(*np.nonzero(never), strict=True):
            times = np.sort(rng.uniform(-window, after, rng.poisson(sources[run, source] * (after + window))))
            if len(times) >= visits:
                spans = times[visits - 1:] - times[:len(times) - visits + 1]
                hits[run] += ((spans <= window) & (times[visits - 1:] > 0)).sum()
        rate, error = hits.mean() / after, hits.std() / after / np.sqrt(len(hits))
        assert rate <= stated.mean() + 3 * error
        assert rates.first_heard_rate([0, *[0] * (visits - 1), 5], visits, 1.0, window) == pytest.approx(
            visits * 6 * window**(visits - 1))


def test_silence_of_chance_is_as_long_as_stated():
    """Mean number of silences too long, per unit of time, over sources whose rate is estimated anew each."""
    rng = np.random.default_rng(3)
    for mean, rate in ((5.0, 0.2), (30.0, 0.5), (30.0, 0.05)):
        false = []
        for _ in range(4000):
            visits = rng.poisson(mean)
            limit = rates.longest_silence(visits, 1.0, rate) if visits else np.inf
            false.append(mean * np.exp(-mean * limit))
        assert np.mean(false) <= 1.15 * rate


def test_visits_in_clusters_count_once():
    rng = np.random.default_rng(4)
    alone = rng.exponential(1.0, 4000)
    assert rates.independent_visits(4000, alone.sum(), (alone**2).sum()) == pytest.approx(4000, rel=0.1)
    clustered = np.where(rng.uniform(size=4000) < 0.2, rng.exponential(1.0, 4000), 1e-3)
    few = rates.independent_visits(4000, clustered.sum(), (clustered**2).sum())
    assert few == pytest.approx(800, rel=0.1)
    assert rates.independent_visits(50, 50.0, 50.0) == 50 and rates.independent_visits(1, 1.0, 1.0) == 1.0
    assert rates.longest_silence(0, 1.0, 0.1) == np.inf and rates.longest_silence(1, 1e9, 1.0) == 0.0


def test_places_of_what_stays_are_not_joined():
    label = Label(places=[Place(centre=f, visits=20, width=10e3) for f in (1e6, 2e6, 5e6)])
    label.places.append(Place(centre=7e6, visits=1, width=10e3))
    join_hops(label.places)
    assert [p.centre for p in label.places] == [1e6, 2e6, 5e6, 7e6]


# -- the stated rate, on seeds that nothing was chosen on ---------------------------------------------------
@pytest.mark.parametrize(("world", "runs"), [(World(sources=20, rates=(0.02, 30.0), hops=60.0), 25),
                                             (World(sources=60, rates=(0.01, 5.0), hops=0.0), 25)])
def test_false_alarms_are_no_more_than_stated(world, runs):
    settings = Settings(false_alarms=2.0)
    total = sum(false_alarms(world, settings, runs, seed=777).values())
    lower, upper = interval(total, runs * WATCHED)
    assert lower <= settings.false_alarms and upper < settings.false_alarms
    assert total > 0  # it is no watch that never says anything


@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_found(kind):
    world = World(sources=15, rates=(0.02, 30.0), hops=0.0)
    seconds = seconds_to_find(kind, world, Settings(false_alarms=0.5), 30.0, 6, seed=778)
    assert np.isfinite(seconds).all() and np.median(seconds) < 3600.0


def test_the_interval_is_that_of_a_poisson_rate():
    assert interval(0, 10.0) == pytest.approx((0.0, 0.3689), abs=1e-4)
    assert interval(10, 1.0) == pytest.approx((4.795, 18.39), abs=1e-2)
