complete --keep-order --exclusive --command devstack --arguments "(DEVSTACK_COMPLETE=fish devstack -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
