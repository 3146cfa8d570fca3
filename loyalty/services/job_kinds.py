"""The registry of jobs: each kind with its arguments, its result and its handler."""

from loyalty.jobs.kinds import JobType, index_job_types
from loyalty.rules.job import JobKind, ReTierArguments, ReTierResult
from loyalty.services.re_tiering import re_tier_batch

JOB_TYPES = index_job_types(JobType(JobKind.RETIER, ReTierArguments, ReTierResult, re_tier_batch))
