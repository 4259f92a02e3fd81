"""Accounts, generations, and the ledger of credits that only grows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ONLY_GROWS = """
create function ledger_only_grows() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger only grows: add a line that corrects the other';
end
$$
"""


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "account",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text),
        _created_at(),
    )
    op.create_table(
        "generation",
        sa.Column("id", UUID(as_uuid=True), primary_key=True),
        sa.Column("account_id", UUID(as_uuid=True), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="queued"),
        sa.Column("cost", sa.Integer, nullable=False),
        sa.Column("job_id", sa.BigInteger),
        sa.Column("object_key", sa.Text),
        sa.Column("small_key", sa.Text),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("error", sa.Text),
        _created_at(),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("state in ('queued', 'working', 'done', 'failed')", name="generation_state"),
    )
    op.create_index("generation_gallery", "generation", ["account_id", sa.text("created_at desc"), sa.text("id desc")])
    still_open = sa.text("state in ('queued', 'working')")
    op.create_index("generation_open", "generation", ["job_id"], postgresql_where=still_open)
    _make_ledger()


def downgrade() -> None:
    """Remove them with all they hold."""
    for table in ("ledger", "generation", "account"):
        op.drop_table(table)
    op.execute("drop function ledger_only_grows()")


def _make_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("account_id", UUID(as_uuid=True), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("balance", sa.Integer, nullable=False),
        sa.Column("generation_id", UUID(as_uuid=True), sa.ForeignKey("generation.id")),
        _created_at(),
        sa.CheckConstraint("kind in ('grant', 'reserve', 'capture', 'release')", name="ledger_kind"),
        sa.CheckConstraint("balance >= 0", name="ledger_never_below_zero"),
        sa.CheckConstraint("(kind = 'grant') = (generation_id is null)", name="ledger_generation"),
    )
    op.create_index("ledger_latest", "ledger", ["account_id", sa.text("id desc")])
    for name, kinds in (("reserved", "('reserve')"), ("settled", "('capture', 'release')")):
        where = sa.text(f"kind in {kinds}")
        op.create_index(f"ledger_{name}_once", "ledger", ["generation_id"], unique=True, postgresql_where=where)
    op.execute(ONLY_GROWS)
    op.execute(
        "create trigger only_grows before update or delete on ledger for each row execute function ledger_only_grows()"
    )


def _created_at() -> sa.Column[sa.DateTime]:
    return sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
