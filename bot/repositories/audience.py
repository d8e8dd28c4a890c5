"""The audience rule, once, as part of a statement: everyone who will see an answer may read all it uses.

An answer posted in a channel is seen by everyone there: it may use what was shared there, and what was shared in
public channels when only full members are about. An answer that the asker alone will see, in a direct message or
shown to them only, may use whatever they may read: the channels they are in, public channels for a full member, and
their personal place. Guests and people of other companies have only the channels they are in. What isn't known
reads nothing: a channel without a row counts as one with strangers in it.
"""

from __future__ import annotations

PERSONAL_PREFIX = "personal:"

AUDIENCE = f"""
place AS (
    SELECT kind, has_outsiders, synced_at FROM channels WHERE team_id = :team AND channel_id = CAST(:channel AS text)
), seen_by AS (
    SELECT CAST(:private AS boolean) OR coalesce((SELECT kind IN ('im', 'personal') FROM place), false) AS asker_alone,
           coalesce((SELECT kind = 'member' FROM asker), false) AS by_member,
           coalesce((SELECT NOT has_outsiders FROM place), false) AS members_only
), audience AS (
    SELECT c.channel_id
      FROM channels c CROSS JOIN seen_by s
     WHERE c.team_id = :team AND c.kind <> 'personal'
       AND CASE WHEN s.asker_alone THEN
               c.kind = 'im' AND c.channel_id = :channel
               OR c.kind = 'public' AND s.by_member
               OR c.channel_id IN (SELECT m.channel_id FROM channel_members m JOIN asker a USING (slack_user_id)
                                    WHERE m.team_id = :team)
           ELSE c.kind = 'public' AND s.by_member AND s.members_only END
    UNION
    SELECT CAST(:channel AS text) FROM seen_by WHERE NOT asker_alone
    UNION
    SELECT '{PERSONAL_PREFIX}' || a.id FROM asker a CROSS JOIN seen_by s WHERE s.asker_alone
)"""
"""`audience (channel_id)`, after a part named `asker (id, slack_user_id, kind)` of at most one row.

Binds :team, :channel (null: no channel at all) and :private.
"""

BEYOND = f"""
    SELECT c.channel_id
      FROM channels c CROSS JOIN seen_by s
     WHERE c.team_id = :team AND NOT s.asker_alone
       AND (c.kind = 'public' AND s.by_member
            OR c.channel_id = (SELECT '{PERSONAL_PREFIX}' || id FROM asker)
            OR c.channel_id IN (SELECT m.channel_id FROM channel_members m JOIN asker a USING (slack_user_id)
                                 WHERE m.team_id = :team))
       AND c.channel_id NOT IN (SELECT channel_id FROM audience)
       AND EXISTS (SELECT FROM document_shares d WHERE d.team_id = :team AND d.channel_id = c.channel_id)
"""
"""What the asker could read alone, beyond `audience`, as far as something was shared there. Nothing of it may be shown
to anybody before it is known that it still holds.
"""

STALE = f"""
    SELECT asked.channel_id
      FROM audience asked LEFT JOIN channels c ON c.team_id = :team AND c.channel_id = asked.channel_id
     WHERE asked.channel_id NOT LIKE '{PERSONAL_PREFIX}%'
       AND (asked.channel_id = CAST(:channel AS text) OR EXISTS (
               SELECT 1 FROM document_shares d WHERE d.team_id = :team AND d.channel_id = asked.channel_id))
       AND coalesce(c.synced_at, '-infinity') < now() - make_interval(secs => CASE c.kind
               WHEN 'public' THEN CAST(:public_max_age_s AS double precision)
               ELSE CAST(:max_age_s AS double precision) END)
"""
"""Of `audience`, the channels whose kind and people must be read again before they may be relied on.

Only where something was shared, and the place of the answer itself: nothing hangs on the others.
"""

MARKED = """
    SELECT c.channel_id
      FROM channels c
     WHERE c.team_id = :team AND c.kind <> 'personal' AND c.synced_at IS NULL
       AND c.channel_id NOT IN (SELECT channel_id FROM audience)
       AND EXISTS (SELECT FROM document_shares d WHERE d.team_id = :team AND d.channel_id = c.channel_id)
     LIMIT 5
"""
"""Outside of `audience`, channels of which Slack told a change, so that they may belong to it by now."""

PUBLIC_MAX_AGE_S = 300.0
"""A public channel seldom turns private, and there are many: they are trusted longer than the others."""
