"""Which file of the generated code an operation's shapes live in, and what each file is about."""

# Which file an operation's shapes live in. An operation missing here stops the generator: somebody must place it.
GROUPS = {
    "trails": """CreateTrail DeleteTrail DescribeTrails GetTrail GetTrailStatus ListPublicKeys ListTrails StartLogging
        StopLogging UpdateTrail""",
    "selectors": """GetEventConfiguration GetEventSelectors GetInsightSelectors PutEventConfiguration PutEventSelectors
        PutInsightSelectors""",
    "stores": """CreateEventDataStore DeleteEventDataStore DisableFederation EnableFederation GetEventDataStore
        ListEventDataStores RestoreEventDataStore StartEventDataStoreIngestion StopEventDataStoreIngestion
        UpdateEventDataStore""",
    "channels": "CreateChannel DeleteChannel GetChannel ListChannels UpdateChannel",
    "queries": """CancelQuery DescribeQuery GenerateQuery GetQueryResults ListQueries SearchSampleQueries StartQuery""",
    "imports": "GetImport ListImportFailures ListImports StartImport StopImport",
    "dashboards": """CreateDashboard DeleteDashboard GetDashboard ListDashboards StartDashboardRefresh
        UpdateDashboard""",
    "history": "ListInsightsData ListInsightsMetricData LookupEvents",
    "access": """AddTags DeleteResourcePolicy DeregisterOrganizationDelegatedAdmin GetResourcePolicy ListTags
        PutResourcePolicy RegisterOrganizationDelegatedAdmin RemoveTags""",
    "events": "PutAuditEvents",
}
STORY = {
    "trails": "Trails, their logging state and the public keys of their digests.",
    "selectors": "What a trail or store takes in: event selectors, insight selectors, event configuration.",
    "stores": "Event data stores, their life cycle and federation.",
    "channels": "Channels, through which other programs send audit events.",
    "queries": "Lake queries and their results.",
    "imports": "Imports of log files into event data stores.",
    "dashboards": "Dashboards and their widgets.",
    "history": "Event history and insights look-ups.",
    "access": "Tags, resource policies and delegated administrators.",
    "events": "PutAuditEvents, the one operation of the data service.",
    "shapes": "Structures that several groups of operations share.",
}
