"""Parameters that the POST requires beside its body: each would refuse every record."""

import pytest

from probe.checks import compared, contract_check
from probe.compare import changes
from tests.probe.documents import Change, changed, document, operation
from tests.probe.test_drift import kinds
from tests.support import CARD

TENANT = {"name": "X-Tenant", "in": "header", "required": True, "schema": {"type": "string"}}


def refer(of: object) -> None:
    of["components"]["parameters"] = {"Tenant": TENANT}  # type: ignore[index]
    operation(of)["parameters"] = [{"$ref": "#/components/parameters/Tenant"}]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda of: operation(of).update(parameters=[TENANT]), "header X-Tenant"),
        (lambda of: of["paths"][CARD.endpoint].update(parameters=[TENANT]), "header X-Tenant"),
        (lambda of: operation(of).update(parameters=[TENANT | {"in": "query"}]), "query X-Tenant"),
        (lambda of: operation(of).update(parameters=[TENANT | {"in": "cookie", "name": "title"}]), "cookie title"),
        (refer, "header X-Tenant"),
    ],
)
def test_a_required_parameter_that_nobody_sends(change: Change, name: str):
    contract, found = compared(changed(change), CARD)
    assert kinds(found) == [("field_required", "breaking", None)]
    assert contract_check(CARD, found).found == f"the API requires the parameter {name}, which the loader does not send"
    assert changes(compared(document(), CARD)[0] or {}, contract or {}) == [f"required parameters: gained {name}"]


@pytest.mark.parametrize(
    "change",
    [
        lambda of: operation(of).update(parameters=[TENANT | {"required": False}]),
        lambda of: operation(of).update(parameters=[TENANT | {"name": "authorization"}]),
        lambda of: of["paths"][CARD.endpoint].update(parameters=[TENANT | {"in": "path"}]),
        lambda of: (
            of["paths"][CARD.endpoint].update(parameters=[TENANT]),
            operation(of).update(parameters=[TENANT | {"required": False}]),
        ),
    ],
    ids=["optional", "authorization", "path", "overridden"],
)
def test_a_parameter_that_is_not_required_or_sent_anyway(change: Change):
    contract, found = compared(changed(change), CARD)
    assert kinds(found) == []
    assert contract == compared(document(), CARD)[0]
