"""The Azure platform of one environment; `pulumi up --stack dev|staging|production`."""

from stack import platform

platform.build()
