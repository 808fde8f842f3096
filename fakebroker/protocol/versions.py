"""What changes on the wire from which server version on, and which version a client gets.

The complete list for 157 to 178 (tws-protocol.md section 0): codecs compare with these names and
with nothing else. A version is negotiated for each connection and fixed for its life.
"""

from typing import Final

LOWEST: Final = 157
HIGHEST: Final = 178

# placeOrder and openOrder grow at the end.
DURATION: Final = 158
POST_TO_ATS: Final = 160
AUTO_CANCEL_PARENT: Final = 162
# Tick sizes, bar volumes and the position of pnlSingle may have decimals.
DECIMAL_SIZES: Final = 163
# contractDetails loses its version and mdSizeMultiplier and gains three size rules.
SIZE_RULES: Final = 164
# placeOrder gains advancedErrorOverride, error gains advancedOrderRejectJson.
ADVANCED_REJECT: Final = 166
# placeOrder gains manualOrderTime, cancelOrder manualCancelOrderTime.
MANUAL_ORDER_TIME: Final = 169
# PEG BEST and PEG MID fields: conditional in placeOrder, always in openOrder and completedOrder.
PEG_OFFSETS: Final = 170
# Times of executions and bars name their zone and have one space, not two.
ZONED_TIMES: Final = 174
# reqContractDetails gains issuerId, symbolSamples description and issuerId.
ISSUER_ID: Final = 176
# faProfile vanishes from the middle of placeOrder, openOrder and completedOrder.
NO_FA_PROFILE: Final = 177
# execDetails gains pendingPriceRevision.
PRICE_REVISION: Final = 178

# Clients disagree about the layouts of these two, so nobody gets them: ib_insync reads duration
# from 159 on, and contractDetails has one odd field at exactly 163.
AVOIDED: Final = frozenset({DURATION, DECIMAL_SIZES})


def negotiate(client_min: int, client_max: int) -> int | None:
    """Return the highest safe version both sides speak, None when there is none.

    A server never answers above the client's highest: one client drops the link then, and all
    drop it below their lowest (tws-protocol.md section 0).
    """
    version = min(HIGHEST, client_max)
    while version in AVOIDED:
        version -= 1
    return version if max(LOWEST, client_min) <= version else None
