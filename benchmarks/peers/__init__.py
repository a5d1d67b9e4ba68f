"""The stores that are compared, in the order of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.advanced_alchemy import AdvancedAlchemyPeer
from benchmarks.peers.crudauth import CrudauthPeer
from benchmarks.peers.django import DjangoPeer
from benchmarks.peers.handwritten import (
    AiomysqlPeer,
    AiosqlitePeer,
    AsyncpgPeer,
    BareAsyncpgPeer,
    OneTurnAiosqlitePeer,
)
from benchmarks.peers.node import ConnectPgSimplePeer, ExpressMysqlSessionPeer
from benchmarks.peers.ours import CoalescingPeer, DirectPeer
from benchmarks.peers.pgbench import PgbenchPeer
from benchmarks.peers.sqlalchemy_core import AutocommitCorePeer, CorePeer
from benchmarks.peers.sqlspec import SqlspecPeer
from benchmarks.peers.starsessions import StarsessionsPeer

if TYPE_CHECKING:
    from benchmarks.peer import Peer

BASELINE: type[Peer] = CoalescingPeer
"""The store that all others are compared with."""

PEERS: tuple[type[Peer], ...] = (
    CoalescingPeer,
    DirectPeer,
    AsyncpgPeer,
    BareAsyncpgPeer,
    AiomysqlPeer,
    AiosqlitePeer,
    OneTurnAiosqlitePeer,
    CorePeer,
    AutocommitCorePeer,
    CrudauthPeer,
    SqlspecPeer,
    AdvancedAlchemyPeer,
    DjangoPeer,
    ConnectPgSimplePeer,
    ExpressMysqlSessionPeer,
    PgbenchPeer,
    StarsessionsPeer,
)
