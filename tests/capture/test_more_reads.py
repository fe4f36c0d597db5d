"""What a step's Python reads and does in ways that a record once missed: constants that it changes in place, settings
of optimisers, comprehensions, modules imported in the step, positional patterns, private slots, keys of dicts. The
captured step gives the eager numbers, also after a change outside, or refuses."""

import sys
import types

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim

CHANGE_AT, CALLS = 5, 9


def numbers(wrap, world) -> list[float]:
    """What each call gives; `world` makes (the step, what changes outside after call CHANGE_AT, or None)."""
    step, change = world()
    run, sums = wrap(step), []
    for call in range(CALLS):
        sums.append(float(run().detach().numpy().sum()))
        if change is not None and call == CHANGE_AT:
            change()
    return sums


def x() -> mg.Tensor:
    return mg.tensor(np.array([1.0, 2.0]))


def a_total():
    data = x()

    def step():
        total = mg.tensor(0.0, dtype=np.float64)
        for i in range(2):
            total += data[i]
        return total

    return step, None


def a_total_not_returned():
    data = x()

    def step():
        total, rows = mg.zeros(2, dtype=np.float64), mg.arange(2, dtype=np.float64)
        total.add_(data)
        rows[1:] = data[:1] * 3
        return total * 2 + rows

    return step, None


def a_total_that_stays():
    """In an attribute, where the next call puts another."""
    data, holder = x(), types.SimpleNamespace()

    def step():
        holder.total = mg.tensor(0.0, dtype=np.float64)
        holder.total += data.sum()
        return holder.total * 1

    return step, None


def a_buffer_made_at_the_first_call():
    data, holder = x(), types.SimpleNamespace(seen=None)

    def step():
        if holder.seen is None:
            holder.seen = mg.zeros((), dtype=np.float64)
        holder.seen.add_(data.sum())
        return holder.seen * 1

    return step, None


def a_buffer_made_once():
    """The one constant that lives on: it is made at the first call only, and counts."""
    layer = nn.Module()
    layer.register_buffer("seen", mg.zeros((), dtype=np.float64))

    def step():
        layer.seen.add_(1)
        return layer.seen * 1

    return step, None


def a_rate_read():
    w = x().requires_grad_()
    sgd = optim.SGD([w], 0.1)

    def step():
        (g,) = mg.grad((w * w).sum(), w)
        return w - sgd.param_groups[0]["lr"] * g

    return step, lambda: sgd.param_groups[0].update(lr=1.0)


def a_schedule_read():
    w = x().requires_grad_()
    sgd = optim.SGD([w], 0.1)
    schedule = optim.lr_scheduler.ExponentialLR(sgd, 0.5)

    def step():
        return w * schedule.get_last_lr()[0]

    return step, lambda: (sgd.step(), schedule.step())


def module(name: str, **values) -> types.ModuleType:
    sys.modules[name] = new = types.ModuleType(name)
    vars(new).update(values)
    return new


def an_import():
    settings, data = module("settings_imported", k=1.0), x()

    def step():
        import settings_imported

        return data * settings_imported.k

    return step, lambda: vars(settings).update(k=5.0)


def a_name_imported():
    settings, data = module("settings_named", k=1.0), x()

    def step():
        from settings_named import k

        return data * k

    return step, lambda: vars(settings).update(k=5.0)


def a_global_by_its_name():
    globals()["NUMBER"], data = 1.0, x()

    def step():
        return data * globals()["NUMBER"]

    return step, lambda: globals().update(NUMBER=5.0)


class Positional:
    __match_args__ = ("k",)
    k = 1.0


def a_positional_pattern():
    value, data = Positional(), x()

    def step():
        match value:
            case Positional(k):
                return data * k

    return step, lambda: setattr(value, "k", 5.0)


class Private:
    __slots__ = ("__k",)

    def __init__(self):
        self.put(1.0)

    def put(self, k):
        self.__k = k

    def get(self):
        return self.__k


def a_private_slot():
    value, data = Private(), x()
    return lambda: data * value.get(), lambda: value.put(5.0)


def a_key_of_a_dict():
    data = x()
    key = type("Key", (), {"k": 1.0})()
    table = {key: 0}

    def step():
        y = data
        for each in table:
            y = y * each.k
        return y

    return step, lambda: setattr(key, "k", 5.0)


def things() -> list:
    return [types.SimpleNamespace(k=1.0), types.SimpleNamespace(k=2.0)]


def a_list_comprehension():
    objects, data = things(), x()
    return lambda: data * sum([each.k for each in objects]), lambda: setattr(objects[0], "k", 5.0)


def a_generator_expression():
    objects, data = things(), x()
    return lambda: data * sum(each.k for each in objects), lambda: setattr(objects[0], "k", 5.0)


def a_nested_comprehension():
    objects, data = [things(), things()], x()

    def step():
        return data * sum([sum([each.k for each in some]) for some in objects])

    return step, lambda: setattr(objects[1][0], "k", 5.0)


def a_dict_comprehension():
    objects, data = things(), x()

    def step():
        return data * sum({i: each.k for i, each in enumerate(objects)}.values())

    return step, lambda: setattr(objects[0], "k", 5.0)


def a_sorting_lambda():
    objects, data = things(), x()

    def step():
        return data * sorted(objects, key=lambda each: each.k)[0].k

    return step, lambda: setattr(objects[0], "k", 5.0)


def an_element_of_an_object_array():
    objects, data = np.array([things(), things()], dtype=object), x()
    return lambda: data * objects[1, 0].k, lambda: setattr(objects[1, 0], "k", 5.0)


def a_dict_seen_through_a_proxy():
    table, data = {"k": 1.0}, x()
    proxy = types.MappingProxyType(table)
    return lambda: data * proxy["k"], lambda: table.update(k=5.0)


def an_object_behind_a_proxy():
    table, data = {"one": things()[0]}, x()
    proxy = types.MappingProxyType({"inner": types.MappingProxyType(table)})
    return lambda: data * proxy["inner"]["one"].k, lambda: setattr(table["one"], "k", 5.0)


def a_view_of_values():
    table, data = {"k": 1.0}, x()
    values = table.values()
    return lambda: data * sum(values), lambda: table.update(more=5.0)


def a_view_of_items():
    table, data = {"k": things()[0]}, x()
    items = table.items()
    return lambda: data * sum(value.k for _, value in items), lambda: setattr(table["k"], "k", 5.0)


def a_format():
    value, data = types.SimpleNamespace(inner=things()[0]), x()
    return lambda: data * float("{.inner.k:.3f}".format(value)), lambda: setattr(value.inner, "k", 5.0)  # noqa: UP032


FORMAT = "{{braces}} {some[0].k!s:>{width}}"


def a_format_of_the_module():
    objects, data = things(), x()

    def step():
        return data * float(FORMAT.format(some=objects, width=9).split()[1])

    return step, lambda: setattr(objects[0], "k", 5.0)


WORLDS = [a_list_comprehension, a_generator_expression, a_nested_comprehension, a_dict_comprehension, a_sorting_lambda]
WORLDS += [
    a_total_that_stays,
    a_buffer_made_at_the_first_call,
    a_total,
    a_total_not_returned,
    a_buffer_made_once,
    a_rate_read,
    a_schedule_read,
    an_import,
    a_name_imported,
]
WORLDS += [
    an_element_of_an_object_array,
    a_dict_seen_through_a_proxy,
    an_object_behind_a_proxy,
    a_view_of_values,
    a_view_of_items,
    a_format,
    a_format_of_the_module,
]
WORLDS += [a_global_by_its_name, a_positional_pattern, a_private_slot, a_key_of_a_dict]


@pytest.mark.parametrize("wrap", [mg.capture, mg.auto_capture], ids=["capture", "auto"])
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_the_captured_step_gives_the_eager_numbers(world, wrap):
    eager = numbers(lambda step: step, world)
    assert world()[1] is None or eager[CHANGE_AT] != eager[CHANGE_AT + 1], "the change outside counts"
    assert numbers(wrap, world) == eager


def a_rate_changed():
    w = x().requires_grad_()
    sgd = optim.SGD([w], 0.1)

    def step():
        sgd.zero_grad()
        (w * w).sum().backward()
        sgd.step()
        for group in sgd.param_groups:
            group["lr"] *= 0.5
        return w

    step.sgd = sgd
    return step, None


def a_schedule_stepped():
    w = x().requires_grad_()
    sgd = optim.SGD([w], 0.1)
    schedule = optim.lr_scheduler.ExponentialLR(sgd, 0.5)

    def step():
        sgd.zero_grad()
        (w * w).sum().backward()
        sgd.step()
        schedule.step()
        return w

    step.sgd = sgd
    return step, None


def an_optimiser_made_inside():
    data = x()

    def step():
        z = mg.zeros(2, dtype=np.float64, requires_grad=True)
        adam = optim.Adam([z], 0.1)
        for _ in range(3):
            adam.zero_grad()
            ((z - data) ** 2).sum().backward()
            adam.step()
        return z

    return step, None


def a_state_loaded():
    w = x().requires_grad_()
    adam = optim.Adam([w], 0.1)

    def step():
        state = adam.state_dict()
        adam.zero_grad()
        (w * w).sum().backward()
        adam.step()
        adam.load_state_dict(state)
        return w

    return step, None


REFUSED = {
    a_rate_changed: r"settings are changed inside the step, to lr 0\.05",
    a_schedule_stepped: r"settings are changed inside the step, to lr 0\.05",
    an_optimiser_made_inside: "an optimiser is made",
    a_state_loaded: "its state loaded",
}


@pytest.mark.parametrize("world", REFUSED, ids=lambda world: world.__name__)
def test_what_no_replay_would_do_to_an_optimiser_is_refused_and_nothing_is_changed(world):
    step, _ = world()
    with pytest.raises(mg.CaptureError, match=REFUSED[world]):
        mg.capture(step)()
    if hasattr(step, "sgd"):
        assert step.sgd.param_groups[0]["lr"] == 0.1
    assert numbers(mg.auto_capture, world) == numbers(lambda step: step, world)


def test_a_gradient_set_to_none_is_none_after_a_replay_too():
    """One of two branches by a flag that alternates: the other weight's .grad stays None."""

    def run(wrap):
        w, v, flags, seen = x().requires_grad_(), x().requires_grad_(), types.SimpleNamespace(first=True), []
        sgd = optim.SGD([w, v], 0.1)

        def step():
            sgd.zero_grad()
            ((w if flags.first else v) ** 2).sum().backward()
            sgd.step()

        step = wrap(step)
        for call in range(16):
            flags.first = call < 8 or call % 2 == 0
            step()
            seen.append(
                (w.grad is None, v.grad is None, float(w.detach().sum().item()), float(v.detach().sum().item()))
            )
        return seen

    eager = run(lambda step: step)
    assert run(mg.auto_capture) == eager and run(mg.capture) == eager
