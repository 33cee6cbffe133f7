"""The machine that tells stories: what can happen, and how often."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
)

from functions.charges import cancel, capture, expire
from functions.charges import create as create_charge
from functions.disputes import accept, evidence, lapse
from functions.ledger import roll_up
from functions.refunds import create as create_refund
from tests.simulation import reading
from tests.simulation.choices import (
    ALWAYS,
    AMOUNTS,
    BEGINNINGS,
    CURRENCIES,
    CURRENCY_SAID,
    DAYS,
    DEATHS,
    EVIDENCE,
    MOVES,
    NETWORK,
    OVERDRAFT_CENTS,
    PARTS,
    PLANS,
    RELAY_DEATHS,
    REQUEST_DEATHS,
    RESERVES,
    SELDOM,
    SETTLING_DEATHS,
    TOKENS,
    WHO,
    WRONG_AMOUNTS,
    WRONG_PARTS,
    YES,
)
from tests.simulation.model_acquirer import BANK_DEBITS
from tests.simulation.model_gateway import Gateway
from tests.simulation.model_things import (
    Charge,
    Dispute,
    Merchant,
    Thing,
    fee_of,
)
from tests.simulation.sandbox import Sandbox
from tests.simulation.story import Story

EVERY = 25
"""Steps from one look at all invariants to the next; the story's end is another."""

ENOUGH = 15
"""Charges in a story, after which there is rather something done with them."""


class Life(RuleBasedStateMachine):
    """Chooses what happens next; the story does it twice and compares."""

    sandbox: ClassVar[Sandbox]
    holidays: ClassVar[dict[str, set[date]]]
    counted: ClassVar[Counter[str]]
    ends: ClassVar[Counter[str]]
    """How the stories left things, and what was refused."""

    @classmethod
    def take_place_in(cls, sandbox: Sandbox) -> None:
        """Tell the stories from now on in a sandbox, whose merchants pay by the first plans."""
        for account, plan, cents in zip(sandbox.accounts, PLANS, OVERDRAFT_CENTS, strict=True):
            sandbox.price(account, plan[0], cents)
        for account, reserve in zip(sandbox.accounts, RESERVES, strict=True):
            sandbox.hold_back(account, *reserve)
        cls.sandbox, cls.holidays = sandbox, sandbox.holidays()
        cls.counted, cls.ends = Counter(), Counter()

    @initialize(beginning=st.sampled_from(BEGINNINGS), ends_well=SELDOM)
    def begin(self, beginning: datetime, ends_well: bool) -> None:
        self.sandbox.reset(beginning)
        self.ends_well = ends_well
        merchants = [
            Merchant(account.merchant_id, plan[:1], overdraft, *reserve)
            for account, plan, overdraft, reserve in zip(
                self.sandbox.accounts, PLANS, OVERDRAFT_CENTS, RESERVES, strict=True
            )
        ]
        self.model = Gateway(merchants, self.holidays, beginning)
        self.story = Story(self.sandbox, self.model)
        self.steps = 0

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """One operation, and then everything in the database is what the model says."""
        what = data.draw(st.sampled_from(self.possible()), label="what")
        self.draw = data.draw
        getattr(self, what)()
        self.counted[what] += 1
        self.steps += 1
        self.story.check()
        if self.steps % EVERY == 0:
            self.story.look()
        self.story.move_clock(self.model.now + timedelta(seconds=1))

    def possible(self) -> list[str]:
        """Return what can happen now, each as often as it should."""
        model, now = self.model, self.model.now
        charges, disputes = model.charges.values(), model.disputes.values()
        weights = dict(ALWAYS)
        if charges:
            some = any(charge.status == "authorized" for charge in charges)
            weights |= {"capture": 4 if some else 1, "cancel": 2 if some else 1, "refund": 4}
            weights |= {"expire": 1, "lapse": 1}
        if any(charge.captured and not self.model.is_over(charge) for charge in charges):
            weights["settle"] = 4
        if len(charges) > ENOUGH:
            weights["charge"] = 1
        if any(charge.payment.due(now) for charge in charges):
            weights["collect"] = 6
        if any(charge.payment.state == "waiting" for charge in charges):
            weights["payer"] = 2
        if disputes:
            some = any(dispute.status == "needs_response" for dispute in disputes)
            weights |= {"answer_dispute": 4 if some else 1, "accept_dispute": 1}
        if self.story.sent:
            weights |= {"repeat": 2, "reuse_key": 1}
        if self.story.inbox:
            weights |= {"deliver": 12, "deliver_batch": 4, "lose_messages": 1}
        if any(thing.work and thing.work.next_send <= now for thing in model.things.values()):
            weights["relay"] = 4
        # hypothesis likes what comes first, and shrinks towards it
        weighted = [what for what, weight in weights.items() for _ in range(weight)]
        return sorted(weighted, key=lambda what: what != "deliver")

    # -- choosing

    def one_of(self, things: dict[str, Any], *likely: str) -> Any:
        """Choose one of the youngest things, rather one in some states."""
        young = [thing for thing in things.values() if thing.status in likely]
        if not young or self.draw(SELDOM):
            young = list(things.values())
        return self.draw(st.sampled_from(young[:-9:-1]))

    def seldom(self) -> bool:
        """One time in sixteen."""
        return self.draw(SELDOM) and self.draw(SELDOM)

    def perhaps(self, trouble: st.SearchStrategy[Any]) -> Any:
        """One time in four choose a trouble; None otherwise."""
        return self.draw(trouble) if self.draw(SELDOM) else None

    def asker(self, thing: Thing) -> int:
        """Choose who asks for a thing: its owner, or sometimes somebody else."""
        owner = [account.merchant_id for account in self.sandbox.accounts].index(thing.merchant)
        return owner ^ self.seldom()

    def number(self, who: int) -> int:
        return self.sandbox.accounts[who].merchant_id

    def amount_said(self, whole: int) -> dict[str, Any]:
        part = self.draw(WRONG_PARTS if self.seldom() else PARTS)
        amounts = {
            "all": whole, "half": max(whole // 2, 1), "one": 1, "most": max(whole - 1, 1),
            "above": whole + 1, "zero": 0, "huge": 10**15,
        }  # fmt: skip
        return {} if part == "unsaid" else {"amount": amounts[part]}

    def currency_said(self, charge: Charge) -> dict[str, str]:
        said = self.draw(CURRENCY_SAID)
        return {} if said is None else {"currency": charge.currency if said == "its own" else said}

    # -- charges

    def charge(self) -> None:
        who, rehearsal = self.draw(WHO), self.seldom()
        currency = self.draw(st.sampled_from(CURRENCIES))
        token = self.draw(st.sampled_from(TOKENS))
        body = {
            "amount": self.amount(currency),
            "currency": currency,
            "payment_method": "tok_unheard_of" if self.seldom() else token,
            "capture": not self.draw(YES) or (token in BANK_DEBITS and not self.seldom()),
            "wait": self.draw(SELDOM),
            "dry_run": rehearsal,
        }
        expected = partial(self.model.new_charge, self.number(who), body)
        death = None if rehearsal else self.perhaps(REQUEST_DEATHS)
        reply = self.story.ask(create_charge.handler, who, body, expected, death)
        if reply.status == 200:
            self.rehearsed(reply.json(), who, body)

    def amount(self, currency: str) -> int:
        if self.seldom():
            return self.draw(st.sampled_from(WRONG_AMOUNTS))
        return self.draw(st.sampled_from(AMOUNTS)) * (10 if currency == "KWD" else 1)

    def rehearsed(self, seen: dict[str, Any], who: int, body: dict[str, Any]) -> None:
        """A dry run shows the entries of a capture, less the acquirer's cost."""
        proposed = self.model.new_charge(self.number(who), body)
        fee = fee_of(proposed.terms, proposed.method, proposed.amount, proposed.currency)
        posted = {entry["account"]: entry["amount"] for entry in seen["entries"]}
        expected = {
            "acquirer_receivable:simulated": proposed.amount,
            "merchant:pending": fee - proposed.amount,
            "income:processing": -fee,
        }
        assert posted == {name: amount for name, amount in expected.items() if amount}
        assert (seen["fee"], seen["net"]) == (fee, proposed.amount - fee)

    def capture(self) -> None:
        charge: Charge = self.one_of(self.model.charges, "authorized")
        who, death = self.asker(charge), self.perhaps(REQUEST_DEATHS)
        body = self.amount_said(charge.amount) | self.currency_said(charge)
        body["wait"] = self.draw(SELDOM)

        def expected() -> Thing:
            self.model.capture(self.number(who), charge.id, body)
            return charge

        self.story.ask(capture.handler, who, body, expected, death, id=charge.id)

    def cancel(self) -> None:
        charge: Charge = self.one_of(self.model.charges, "authorized", "requires_action")
        who, death = self.asker(charge), self.perhaps(REQUEST_DEATHS)

        def expected() -> Thing:
            self.model.cancel(self.number(who), charge.id)
            return charge

        body = {"wait": self.draw(SELDOM)}
        self.story.ask(cancel.handler, who, body, expected, death, id=charge.id)

    def payer(self) -> None:
        """A payer answers the acquirer, perhaps too late."""
        charges = self.model.charges.values()
        asked = [c for c in charges if c.payment.until and c.token == "tok_requires_action"]
        if asked:
            charge, approve = self.draw(st.sampled_from(asked)), self.draw(YES)
            charge.payment.payer_answers(self.model.now, approve=approve)
            self.sandbox.payer_answers(charge.id, approve=approve)

    # -- refunds

    def refund(self) -> None:
        likely = ("succeeded",) if self.draw(YES) else ("succeeded", "pending", "requires_action")
        charge: Charge = self.one_of(self.model.charges, *likely)
        who, rehearsal = self.asker(charge), self.seldom()
        body: dict[str, Any] = {"charge": charge.id, "dry_run": rehearsal}
        body |= {"wait": self.draw(SELDOM)} | self.currency_said(charge)
        body |= self.amount_said(charge.left)
        left = charge.left
        expected = partial(self.model.new_refund, self.number(who), body)
        death = None if rehearsal else self.perhaps(REQUEST_DEATHS)
        reply = self.story.ask(create_refund.handler, who, body, expected, death)
        if reply.status == 200:
            amount = body.get("amount", left)
            posted = {entry["account"]: entry["amount"] for entry in reply.json()["entries"]}
            place = "available" if self.model.is_over(charge) else "pending"
            assert posted == {f"merchant:{place}": amount, "refunds_payable": -amount}

    # -- disputes

    def answer_dispute(self) -> None:
        dispute: Dispute = self.one_of(self.model.disputes, "needs_response")
        who, death = self.asker(dispute), self.perhaps(REQUEST_DEATHS)
        body = {"text": self.draw(EVIDENCE), "submit": self.draw(YES)}

        def expected() -> Thing:
            self.model.submit(self.number(who), dispute.id, body)
            return dispute

        self.story.ask(evidence.handler, who, body, expected, death, id=dispute.id)

    def accept_dispute(self) -> None:
        dispute: Dispute = self.one_of(self.model.disputes, "needs_response")
        who, death = self.asker(dispute), self.perhaps(REQUEST_DEATHS)

        def expected() -> Thing:
            self.model.give_up(self.number(who), dispute.id)
            return dispute

        self.story.ask(accept.handler, who, {}, expected, death, id=dispute.id)

    # -- the same key again

    def repeat(self) -> None:
        """The same request again, perhaps to a front that forgot it."""
        sent = self.draw(st.sampled_from(self.story.sent[:-9:-1]))
        if self.draw(SELDOM):
            self.sandbox.forget_answers()
        self.story.repeat(sent)

    def reuse_key(self) -> None:
        """Another request with the key of one that was accepted."""
        sent = self.draw(st.sampled_from(self.story.sent[:-9:-1]))
        if self.draw(SELDOM):
            self.sandbox.forget_answers()
        self.story.reuse(sent)

    # -- the platform at work

    def deliver(self) -> None:
        """Deliver one message, of any age, perhaps a copy."""
        task = self.draw(st.sampled_from(self.story.live() or self.story.inbox))
        if self.seldom():
            task = self.draw(st.sampled_from(self.story.inbox))
        keep, network = self.draw(SELDOM), self.perhaps(NETWORK) or []
        failed = self.story.deliver([task], network, self.perhaps(DEATHS))
        if not failed and not keep:
            self.story.inbox.remove(task)

    def deliver_batch(self) -> None:
        """Deliver what waits in one queue, in either order."""
        inbox = self.story.inbox
        batch = [task for task in inbox if task.queue == inbox[0].queue][:10]
        if self.draw(YES):
            batch.reverse()
        self.story.deliver(batch, self.perhaps(NETWORK) or [], None)
        for task in batch:
            inbox.remove(task)

    def lose_messages(self) -> None:
        """A queue forgets; the relay does not."""
        self.story.inbox.clear()

    def relay(self) -> None:
        self.story.relay(self.perhaps(RELAY_DEATHS))

    def collect(self) -> None:
        """Hear what the acquirer did by itself."""
        self.story.collect(self.perhaps(NETWORK) or [], dies=self.seldom())

    def expire(self) -> None:
        self.story.owe(expire.handler, self.model.expire())

    def lapse(self) -> None:
        self.story.owe(lapse.handler, self.model.lapse())

    def reprice(self) -> None:
        """A plan gets its next version; charges made before keep theirs."""
        who = self.draw(WHO)
        plan = self.model.merchants[self.number(who)].plan
        if len(plan) < len(PLANS[who]):
            plan.append(PLANS[who][len(plan)])
            self.sandbox.reprice(self.sandbox.accounts[who], len(plan), plan[-1])

    def settle(self) -> None:
        """Every day that has come is closed, perhaps some of them late, whoever dies on the way."""
        if not self.draw(SELDOM):
            self.story.move_clock(self.model.now + timedelta(days=self.draw(DAYS)))
        self.story.settle(self.perhaps(SETTLING_DEATHS))

    def roll_up(self) -> None:
        self.sandbox.run(roll_up.handler)

    def wait(self) -> None:
        self.story.move_clock(self.model.now + self.draw(st.sampled_from(MOVES)))

    # -- reading

    def balance(self) -> None:
        reading.balance(self.story, self.draw(WHO))

    def transactions(self) -> None:
        reading.transactions(self.story, self.draw(WHO))

    def listing(self) -> None:
        what = self.draw(st.sampled_from(sorted(reading.NOUNS)))
        reading.listing(self.story, self.draw(WHO), what, self.draw(st.sampled_from((3, 100))))

    def get(self) -> None:
        """Look at one thing: one's own, somebody else's, or one that nobody has."""
        what = self.draw(st.sampled_from(sorted(reading.NOUNS)))
        names = reading.names(self.story, what)[:-9:-1]
        reading.get(self.story, self.draw(WHO), what, self.draw(st.sampled_from(["", *names])))

    def teardown(self) -> None:
        if not hasattr(self, "story"):
            return
        if self.ends_well:
            self.story.end()
        self.story.look()
        self.ends.update(self.story.refusals)
        self.ends.update(self.model.settled_counts())
        self.ends.update(f"{type(t).__name__} {t.status}" for t in self.model.things.values())
