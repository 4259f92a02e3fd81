"""The app's tables: who may ask, what was asked, and what each picture cost."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Tables(DeclarativeBase):
    """All tables of the app; those of the runtime are in the schema `towline`."""


class Account(Tables):
    """A person, or a token that acts as one; without a password hash nobody can log in."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Generation(Tables):
    """One picture that was asked for. Objects are named by key: addresses are made when somebody asks."""

    __tablename__ = "generation"
    __table_args__ = (
        CheckConstraint("state in ('queued', 'working', 'done', 'failed')", name="generation_state"),
        Index("generation_gallery", "account_id", text("created_at desc"), text("id desc")),
        Index("generation_open", "job_id", postgresql_where=text("state in ('queued', 'working')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    prompt: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="queued")
    cost: Mapped[int]
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    object_key: Mapped[str | None] = mapped_column(Text)
    small_key: Mapped[str | None] = mapped_column(Text)
    width: Mapped[int | None]
    height: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Entry(Tables):
    """One line of the credit ledger, never changed: `balance` is what was left after it.

    A picture has one `reserve`, and one `capture` (worth nothing, for the credits are gone already) or `release`.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        CheckConstraint("kind in ('grant', 'reserve', 'capture', 'release')", name="ledger_kind"),
        CheckConstraint("balance >= 0", name="ledger_never_below_zero"),
        CheckConstraint("(kind = 'grant') = (generation_id is null)", name="ledger_generation"),
        Index("ledger_latest", "account_id", text("id desc")),
        Index("ledger_reserved_once", "generation_id", unique=True, postgresql_where=text("kind = 'reserve'")),
        Index(
            "ledger_settled_once",
            "generation_id",
            unique=True,
            postgresql_where=text("kind in ('capture', 'release')"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(Text)
    amount: Mapped[int]
    balance: Mapped[int]
    generation_id: Mapped[UUID | None] = mapped_column(ForeignKey("generation.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
