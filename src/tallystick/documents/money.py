"""Money as integer minor units with its ISO 4217 currency, and the one rounding rule by which decimals become money."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

# ISO 4217 table A.1 (active codes) by number of minor-unit digits.
_CODES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY "
    "COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR "
    "IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS = {code: digits for digits, codes in _CODES_BY_DIGITS.items() for code in codes.split()}

MAXIMUM_MINOR = 10**15  # ten trillion dollars: beyond it a value is a mistake, and int64 sums stay safe


class Rounding(StrEnum):
    """How a decimal amount becomes whole minor units; the rule alone can be a break in the books, so it is named."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


# Wide enough for the product of any quantity, unit price and discount that documents take (31 digits): the one rounding
# is then the only one, whatever precision some library has set for the thread.
EXACT = Context(prec=60)


def minor_digits(currency: str) -> int:
    """Digits after the decimal point in `currency` (ISO 4217): JPY 0, USD 2, KWD 3. Raises ValueError if unknown."""
    try:
        return MINOR_DIGITS[currency]
    except KeyError:
        raise ValueError(f"{currency!r} is not an active ISO 4217 currency code") from None


def to_minor(amount: Decimal, currency: str, rounding: Rounding = Rounding.HALF_UP) -> int:
    """Round a decimal amount of `currency` to whole minor units: Decimal("1.005") USD half up is 101."""
    scaled = amount.scaleb(minor_digits(currency), EXACT)
    return int(scaled.to_integral_value(ROUND_HALF_EVEN if rounding is Rounding.HALF_EVEN else ROUND_HALF_UP, EXACT))


def from_minor(amount: int, currency: str) -> Decimal:
    """The exact decimal value of an amount in minor units: 101 USD is Decimal("1.01")."""
    return Decimal(amount).scaleb(-minor_digits(currency), EXACT)


def format_minor(amount: int, currency: str) -> str:
    """An amount in minor units as plain text with the currency's digits, for people and JSON: 101 USD is "1.01"."""
    return f"{from_minor(amount, currency):.{minor_digits(currency)}f}"


def _known_currency(code: str) -> str:
    minor_digits(code)
    return code


Currency = Annotated[
    str,
    AfterValidator(_known_currency),
    Field(description="ISO 4217 alphabetic code", examples=["USD"], json_schema_extra={"pattern": "^[A-Z]{3}$"}),
]
_IN_MINOR = "Amount in minor units of the document's currency (USD 12.34 is 1234, JPY 12 is 12)"
MinorAmount = Annotated[int, Field(strict=True, ge=-MAXIMUM_MINOR, le=MAXIMUM_MINOR, description=_IN_MINOR)]
PositiveAmount = Annotated[int, Field(strict=True, ge=0, le=MAXIMUM_MINOR, description=_IN_MINOR)]
