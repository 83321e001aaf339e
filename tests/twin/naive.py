"""The slow truth: replicas simulated one step at a time, with plain lists and no sums."""

import math
from collections import OrderedDict


class Replica:
    """One replica: a clock, who waits, who runs, and what is cached."""

    def __init__(self, steps, room):
        self.steps, self.room = steps, room
        self.clock, self.waiting, self.running, self.cache, self.sent = 0.0, [], [], OrderedDict(), []

    def load(self, now):
        """Requests that were sent here and have not ended by now; the step that is under way is not yet over."""
        return sum(not one["last"] <= now for one in self.sent)

    def matched(self, blocks):
        return next((place for place, block in enumerate(blocks) if block not in self.cache), len(blocks))

    def touch(self, blocks):
        for block in reversed(blocks):
            self.cache[block] = True
            self.cache.move_to_end(block)
            if len(self.cache) > self.room:
                self.cache.popitem(last=False)

    def advance(self, until):
        while self.clock < until:
            if self.waiting and self.fits(self.waiting[0]):
                self.admit(self.waiting.pop(0))
            elif self.running:
                self.step()
            else:
                return

    def fits(self, request):
        held = sum(one["isl"] + one["osl"] for one in self.running)
        room = held + request["isl"] + request["osl"] <= self.steps.capacity
        return room and len(self.running) < self.steps.most

    def admit(self, request):
        hits = self.matched(request["blocks"]) * request["block_tokens"] if self.room else 0
        request["cached"] = min(hits, request["isl"] - 1)
        if self.room:
            self.touch(request["blocks"])
        for token in range(request["cached"], request["isl"]):
            self.clock += self.steps.prefill + self.steps.attention * (token + 0.5)
        request["first"], request["written"] = self.clock, 1
        if request["osl"] == 1:
            request["last"] = self.clock
        else:
            self.running.append(request)

    def step(self):
        batch, context = len(self.running), sum(one["isl"] + one["written"] for one in self.running)
        reading = self.steps.reading[batch] + self.steps.growth * context
        self.clock += max(reading, self.steps.compute[batch]) + self.steps.lost[batch]
        for one in self.running:
            one["written"] += 1
            if one["written"] == one["osl"]:
                one["last"] = self.clock
        self.running = [one for one in self.running if one["written"] < one["osl"]]


def choose(fleet, routing, turn, request):
    if routing == "round-robin":
        chosen = fleet[turn % len(fleet)]
        chosen.advance(request["time"])
        return chosen
    for replica in fleet:
        replica.advance(request["time"])
    now = request["time"]
    least = min(fleet, key=lambda one: one.load(now))
    lightest, most = least.load(now), max(one.load(now) for one in fleet)
    if routing == "least-loaded" or (most - lightest > 64 and most > 1.5 * lightest):
        return least
    best = min(fleet, key=lambda one: (-one.matched(request["blocks"]), one.load(now), one is not least))
    emptiest = min(fleet, key=lambda one: (len(one.cache), one is not least))
    return best if best.matched(request["blocks"]) > 0.3 * len(request["blocks"]) else emptiest


def simulate(trace, steps, replicas=1, routing="round-robin", cache_tokens=0, longest_queue=math.inf):
    """Return each request's first and last moment (NaN if rejected), and its cached tokens."""
    fleet = [Replica(steps, cache_tokens // trace.block_tokens) for _ in range(replicas)]
    requests, turn = [], 0
    for index, time in enumerate(trace.times.tolist()):
        blocks = trace.blocks[trace.starts[index] : trace.starts[index + 1]].tolist()
        request = {"time": time, "isl": int(trace.isl[index]), "osl": int(trace.osl[index]), "blocks": blocks}
        request |= {"block_tokens": trace.block_tokens, "first": math.nan, "last": math.nan, "cached": 0}
        requests.append(request)
        if request["isl"] + request["osl"] > steps.capacity:
            continue
        replica = choose(fleet, routing, turn, request)
        turn += 1
        if len(replica.waiting) >= longest_queue:
            continue
        if not replica.waiting and not replica.running:
            replica.clock = max(replica.clock, time)
        replica.waiting.append(request)
        replica.sent.append(request)
    for replica in fleet:
        replica.advance(math.inf)
    return requests


def operate(trace, edges, steps, up, longest_queue=math.inf):
    """Serve a trace window by window, each with its own steps, by the replicas that are up in it; what was in others
    is sent again. Return all requests, and who stands where at each window's end.
    """
    fleet, was, turn, ends = [Replica(steps[0], 0) for _ in up[0]], up[0], 0, []
    requests = [
        {"came": time, "isl": isl, "osl": osl, "blocks": [], "block_tokens": 1, "first": math.nan, "last": math.nan}
        for time, isl, osl in zip(trace.times.tolist(), trace.isl.tolist(), trace.osl.tolist(), strict=True)
    ]
    for begin, end, costs, standing in zip(edges[:-1], edges[1:], steps, up, strict=True):
        again = []
        for number, replica in enumerate(fleet):
            replica.steps = costs
            if was[number] and not standing[number]:
                again += [one for one in replica.sent if not one["last"] <= begin]
            if standing[number] != was[number]:
                fleet[number] = Replica(costs, 0)
                fleet[number].clock = begin
        was = standing
        again.sort(key=lambda one: (one["came"], one["isl"], one["osl"]))
        up_now = [replica for replica, stands in zip(fleet, standing, strict=True) if stands]
        fresh = [one for one in requests if begin <= one["came"] < end]
        for request in again + fresh:
            request["first"] = request["last"] = math.nan
            request["rejected"] = not up_now or request["isl"] + request["osl"] > costs.capacity
            if request["rejected"]:
                continue
            replica, now = up_now[turn % len(up_now)], max(begin, request["came"])
            turn = (turn + 1) % len(up_now)
            replica.advance(now)
            request["rejected"] = len(replica.waiting) >= longest_queue
            if not request["rejected"]:
                if not replica.waiting and not replica.running:
                    replica.clock = max(replica.clock, now)
                replica.waiting.append(request)
                replica.sent.append(request)
        for replica in up_now:
            replica.advance(end)
        ends.append({id(one) for one in requests if one["last"] <= end})
    return requests, ends
