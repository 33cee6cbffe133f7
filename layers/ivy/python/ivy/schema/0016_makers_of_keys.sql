-- Who made a key: what it asks for, its maker has asked for, and somebody else must approve.
ALTER TABLE api_keys ADD COLUMN created_by uuid;
COMMENT ON COLUMN api_keys.created_by IS
    'The person who made it, or who made the key that made it; unknown of keys older than this.';
