"""Money: integer minor units and ISO 4217 currencies.

An amount is always an ``int`` of the currency's minor unit: 10000 USD is 100.00 dollars,
10000 JPY is 10000 yen, 10000 KWD is 10.000 dinars. No float ever holds money.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

MAX_AMOUNT_MINOR = 999_999_999_999
"""The largest amount one object can carry, in minor units of any currency."""

BASIS_POINTS = 10_000

# Active ISO 4217 currencies as "code number", by exponent. Funds codes, metals and the two
# currencies with four decimals are left out. A test compares this table with the standard's.
_CURRENCIES = {
    0: """
    BIF 108  CLP 152  DJF 262  GNF 324  ISK 352  JPY 392  KMF 174  KRW 410  PYG 600  RWF 646
    UGX 800  VND 704  VUV 548  XAF 950  XOF 952  XPF 953
    """,
    2: """
    AED 784  AFN 971  ALL 008  AMD 051  AOA 973  ARS 032  AUD 036  AWG 533  AZN 944  BAM 977
    BBD 052  BDT 050  BMD 060  BND 096  BOB 068  BRL 986  BSD 044  BTN 064  BWP 072  BYN 933
    BZD 084  CAD 124  CDF 976  CHF 756  CNY 156  COP 170  CRC 188  CUP 192  CVE 132  CZK 203
    DKK 208  DOP 214  DZD 012  EGP 818  ERN 232  ETB 230  EUR 978  FJD 242  FKP 238  GBP 826
    GEL 981  GHS 936  GIP 292  GMD 270  GTQ 320  GYD 328  HKD 344  HNL 340  HTG 332  HUF 348
    IDR 360  ILS 376  INR 356  IRR 364  JMD 388  KES 404  KGS 417  KHR 116  KPW 408  KYD 136
    KZT 398  LAK 418  LBP 422  LKR 144  LRD 430  LSL 426  MAD 504  MDL 498  MGA 969  MKD 807
    MMK 104  MNT 496  MOP 446  MRU 929  MUR 480  MVR 462  MWK 454  MXN 484  MYR 458  MZN 943
    NAD 516  NGN 566  NIO 558  NOK 578  NPR 524  NZD 554  PAB 590  PEN 604  PGK 598  PHP 608
    PKR 586  PLN 985  QAR 634  RON 946  RSD 941  RUB 643  SAR 682  SBD 090  SCR 690  SDG 938
    SEK 752  SGD 702  SHP 654  SLE 925  SOS 706  SRD 968  SSP 728  STN 930  SVC 222  SYP 760
    SZL 748  THB 764  TJS 972  TMT 934  TOP 776  TRY 949  TTD 780  TWD 901  TZS 834  UAH 980
    USD 840  UYU 858  UZS 860  VED 926  VES 928  WST 882  XAD 396  XCD 951  XCG 532  YER 886
    ZAR 710  ZMW 967  ZWG 924
    """,
    3: """
    BHD 048  IQD 368  JOD 400  KWD 414  LYD 434  OMR 512  TND 788
    """,
}


@dataclass(frozen=True, slots=True)
class Currency:
    """One ISO 4217 currency.

    ``number`` is the ISO numeric code, ``exponent`` the count of decimals of the major unit.
    """

    code: str
    number: int
    exponent: int

    @property
    def minimum_minor(self) -> int:
        """The smallest charge: half a major unit, or 50 where there are no minor units."""
        return self.scaled(50)

    def scaled(self, cents: int) -> int:
        """Return an amount given in cents: as many yen, or ten times as many fils."""
        return cents * (10 if self.exponent == 3 else 1)  # noqa: PLR2004 - the exponent of dinars


@cache
def currencies() -> dict[str, Currency]:
    """Return every accepted currency by its upper-case code."""
    table: dict[str, Currency] = {}
    for exponent, listing in _CURRENCIES.items():
        words = listing.split()
        for code, number in zip(words[::2], words[1::2], strict=True):
            table[code] = Currency(code, int(number), exponent)
    return table


@cache
def currency_codes() -> dict[int, str]:
    """Return the code of every accepted currency by its ISO number."""
    return {currency.number: code for code, currency in currencies().items()}


def share(amount_minor: int, basis_points: int) -> int:
    """Return ``basis_points`` of an amount, rounded half up to the minor unit."""
    exact = Decimal(amount_minor) * basis_points / BASIS_POINTS
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
