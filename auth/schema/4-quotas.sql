-- What a user may take up: jobs that are not finished, and bytes.  NULL: as the
-- gateway is configured; 0: any number.

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE user ADD COLUMN quota_jobs BIGINT UNSIGNED NULL',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'user'
        AND column_name = 'quota_jobs';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE user ADD COLUMN quota_bytes BIGINT UNSIGNED NULL',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'user'
        AND column_name = 'quota_bytes';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;
