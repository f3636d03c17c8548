"""What becomes of each directive of a unit that says something about the process and not about what to run.

A table and nothing else: state, code, message, remedy. The hardening is that of the template ``tori@.service``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from capsule_deploy.migrate.model import State


class Fate(NamedTuple):
    """What becomes of a directive."""

    state: State
    code: str
    message: str
    remedy: str = ""


_HARDENING = Fate("changed", "hardening", "The template unit has its own hardening, which is as strict or stricter.")
_STRICTER = Fate(
    "left",
    "hardening",
    "The template unit has no such wall.",
    "If it is wanted, let the host's administrator add it to the unit by a drop-in.",
)
_RELAXED = Fate(
    "left",
    "capabilities",
    "A capsule's service has no capabilities and no rights beyond its own account's.",
    "Let the host do what needs rights.",
)
_HOOK = Fate(
    "left",
    "exec-hook",
    "Nothing runs before, beside or after a capsule's processes.",
    "Do it in the application, or once on the host; what changes data belongs to the deployment.",
)
_RESTART = Fate(
    "changed", "restart", "The template restarts a process that fails; activation and rollback watch over it."
)
_LIMIT = Fate(
    "left",
    "limit",
    "The manifest has no such limit; only CPU, memory, tasks and disk time are bounded, for the release together.",
    "If the application needs it, let the host's administrator set it for the template unit.",
)
_SCHEDULING = Fate(
    "left",
    "scheduling",
    "The manifest has no priorities but io_weight.",
    "Use resources.io_weight or cpu_quota; a program that sets its own needs sandbox: { allow: [scheduling] }.",
)
_ORDER = Fate("changed", "ordering", "The template starts after the network is up.")
_TIMEOUT = Fate("changed", "timeout", "The template has its own times to start and to stop.")
_LOGGING = Fate("changed", "log-output", "What a service prints goes to the journal: `capsdeploy logs`.")
_CREDENTIAL = Fate(
    "left",
    "credentials",
    "Credentials are the host's, and in no manifest.",
    "Have the host's policy hand them to the service.",
)
_FILESYSTEM = Fate(
    "left",
    "filesystem-view",
    "The manifest knows no mounts: a service sees its release, its state directory, and the host's system read-only.",
    "Put what it reads into the capsule, and what it writes into the state directory.",
)
_DOCUMENTED = Fate("changed", "description", "The unit's description is made of the manifest's name and version.")
_ENABLED = Fate("changed", "enabled", "What runs after a boot is what `capsdeploy activate` made active.")
_ACTION = Fate(
    "left", "on-failure", "A capsule's unit starts no other unit.", "Watch `capsdeploy status`, or the journal."
)
_CONDITION = Fate(
    "left", "condition", "A capsule's unit has no conditions of its own.", "Check it when the application starts."
)

DEPENDENCY: Final = Fate(
    "left",
    "dependency",
    "A capsule's unit depends on no other unit of the host.",
    "Let the application wait until what it needs answers.",
)

_TABLE: Final[dict[Fate, str]] = {
    _HARDENING: """
        NoNewPrivileges PrivateTmp PrivateDevices PrivateNetwork PrivateMounts ProtectSystem
        ProtectHome ProtectKernelTunables ProtectKernelModules ProtectKernelLogs ProtectControlGroups ProtectClock
        ProtectHostname ProtectProc ProcSubset RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality
        MemoryDenyWriteExecute RemoveIPC RestrictAddressFamilies SystemCallFilter SystemCallErrorNumber
        SystemCallArchitectures SystemCallLog UMask KeyringMode DevicePolicy ReadOnlyPaths ReadOnlyDirectories
        DisableControllers
    """,
    _STRICTER: """
        PrivateUsers PrivateIPC RestrictFileSystems InaccessiblePaths InaccessibleDirectories NoExecPaths ExecPaths
        SocketBindDeny RestrictNetworkInterfaces IPIngressFilterPath IPEgressFilterPath SELinuxContext AppArmorProfile
        SmackProcessLabel BPFProgram
    """,
    _RELAXED: "AmbientCapabilities CapabilityBoundingSet SecureBits DeviceAllow SocketBindAllow Delegate",
    _HOOK: "ExecStartPost ExecStop ExecStopPost ExecReload ExecCondition",
    _RESTART: """
        Restart RestartSec RestartForceExitStatus RestartPreventExitStatus SuccessExitStatus StartLimitInterval
        StartLimitIntervalSec StartLimitBurst OOMPolicy KillMode SendSIGKILL SendSIGHUP RestartKillSignal
        FinalKillSignal TimeoutStopFailureMode TimeoutStartFailureMode
    """,
    _LIMIT: """
        LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitNOFILE LimitAS LimitNPROC LimitMEMLOCK
        LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO LimitRTTIME MemorySwapMax MemoryMin MemoryLow
        RuntimeMaxSec RuntimeRandomizedExtraSec CPUAccounting MemoryAccounting TasksAccounting IOAccounting
        BlockIOAccounting IPAccounting ManagedOOMSwap ManagedOOMMemoryPressure ManagedOOMPreference
        IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax IODeviceWeight IODeviceLatencyTargetSec
        BlockIODeviceWeight BlockIOReadBandwidth BlockIOWriteBandwidth CPUQuotaPeriodSec CoredumpFilter
        DefaultMemoryMin DefaultMemoryLow ManagedOOMMemoryPressureLimit
    """,
    _SCHEDULING: """
        Nice CPUWeight CPUShares StartupCPUWeight StartupCPUShares StartupIOWeight StartupBlockIOWeight BlockIOWeight
        CPUAffinity CPUSchedulingPolicy CPUSchedulingPriority CPUSchedulingResetOnFork IOSchedulingClass
        IOSchedulingPriority NUMAPolicy NUMAMask AllowedCPUs AllowedMemoryNodes OOMScoreAdjust TimerSlackNSec
        IgnoreSIGPIPE Personality StartupAllowedCPUs StartupAllowedMemoryNodes
    """,
    _ORDER: "DefaultDependencies After Before Wants",
    _TIMEOUT: """
        TimeoutStartSec TimeoutStopSec TimeoutSec TimeoutAbortSec TimeoutCleanSec JobTimeoutSec JobRunningTimeoutSec
    """,
    _LOGGING: """
        StandardOutput StandardError StandardInput SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix
        LogLevelMax LogExtraFields LogRateLimitIntervalSec LogRateLimitBurst LogNamespace TTYPath TTYReset
        StandardInputText StandardInputData TTYVHangup TTYVTDisallocate TTYRows TTYColumns UtmpIdentifier UtmpMode
    """,
    _CREDENTIAL: "LoadCredential LoadCredentialEncrypted SetCredential SetCredentialEncrypted",
    _FILESYSTEM: """
        BindPaths BindReadOnlyPaths TemporaryFileSystem RootDirectory RootImage RootImageOptions RootHash RootVerity
        MountAPIVFS MountFlags MountImages ExtensionImages RuntimeDirectoryMode RuntimeDirectoryPreserve
        NetworkNamespacePath IPCNamespacePath ExecSearchPath ExtensionDirectories RootHashSignature
        RootDirectoryStartOnly StateDirectoryMode CacheDirectoryMode LogsDirectoryMode ConfigurationDirectory
        ConfigurationDirectoryMode
    """,
    _DOCUMENTED: "Description Documentation SourcePath",
    _ENABLED: "WantedBy RequiredBy Also DefaultInstance RefuseManualStart RefuseManualStop",
    _ACTION: """
        OnFailure OnSuccess OnFailureJobMode OnSuccessJobMode OnFailureIsolate FailureAction SuccessAction
        FailureActionExitStatus SuccessActionExitStatus StartLimitAction RebootArgument JobTimeoutAction
        JobTimeoutRebootArgument
    """,
    DEPENDENCY: """
        Conflicts BindTo PropagatesReloadTo PropagateReloadTo ReloadPropagatedFrom PropagateReloadFrom PropagatesStopTo
        StopPropagatedFrom RequiresOverridable RequisiteOverridable StopWhenUnneeded AllowIsolate IgnoreOnIsolate
        CollectMode
    """,
}

_OTHERS: Final[dict[str, Fate]] = {
    "Alias": Fate(
        "left", "alias", "A capsule's unit has one name, tori@<short id>.service.", "Change what calls it by the other."
    ),
    "Slice": Fate("changed", "slice", "Each release has a slice of its own, on which its limits are set."),
    "GuessMainPID": Fate("left", "forking", "The main process is the one that is started."),
    "PIDFile": Fate(
        "left",
        "forking",
        "A capsule's process stays in the foreground and has no PID file.",
        "Start the program so that it does not fork (its --foreground or --no-daemon).",
    ),
    "BusName": Fate("left", "dbus", "A capsule's unit has no name on the bus."),
    "Sockets": Fate(
        "left",
        "socket-activation",
        "The sockets of the old unit are not handed over.",
        "Let the application bind its own port, above 1023.",
    ),
    "FileDescriptorStoreMax": Fate("left", "fd-store", "No descriptors are kept between starts."),
    "NonBlocking": Fate("changed", "socket-activation", "The template sets it."),
    "NotifyAccess": Fate("changed", "notify", "The template lets the main process notify."),
    "WatchdogSec": Fate(
        "left", "watchdog", "There is no watchdog.", "Give the service a health check in the manifest."
    ),
    "WatchdogSignal": Fate("left", "watchdog", "There is no watchdog."),
    "SupplementaryGroups": Fate(
        "left",
        "groups",
        "The application's account is in no group but its own.",
        "Have the host grant access to what the group was for; devices of graphics cards (video, render) need "
        "sandbox: { allow: [gpu] }, too.",
    ),
    "PAMName": Fate("left", "pam", "A capsule's service opens no PAM session."),
    "PermissionsStartOnly": Fate("changed", "hardening", "Nothing runs with other rights."),
    "ExitType": Fate("left", "forking", "The service ends with its main process."),
    "JoinsNamespaceOf": Fate("left", "filesystem-view", "A release shares no namespace with other units."),
    **dict.fromkeys(
        ("USBFunctionDescriptors", "USBFunctionStrings"),
        Fate("left", "capabilities", "A capsule's service is no USB gadget."),
    ),
}

FATES: Final[dict[str, Fate]] = {name: fate for fate, names in _TABLE.items() for name in names.split()} | _OTHERS
"""By the directive's name, whatever section it stands in. What has no fate here is handled on its own."""


def fate_of(key: str) -> Fate | None:
    """What becomes of a directive; None when nobody knows it."""
    if key.startswith(("Condition", "Assert")):
        return _CONDITION
    return FATES.get(key)
