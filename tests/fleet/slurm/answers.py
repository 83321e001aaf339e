"""What a real Slurm 22.05 answered once: two projects of 4 GPUs each on 4 nodes of 2, one of which is drained."""

QUEUE = """\
32      |32     |PENDING     |QOSGrpGRES       |nlp    |root   |nlp-quota     |1   |       |2026-11-25T09:22:59 |N/A                 |N/A                 |UNLIMITED   |76666  |cpu=1,mem=4000M,node=1,billing=1,gres/gpu=1 |gres:gpu:1 |0  |wait
30_0    |30     |PENDING     |QOSMaxGRESPerUser|vision |root   |vision-quota  |2   |       |2026-11-25T09:22:59 |N/A                 |N/A                 |1-00:00:00  |43333  |cpu=2,mem=8000M,node=2,billing=4,gres/gpu=4 |gres:gpu:2 |0  |wrap
30_1    |30     |PENDING     |QOSMaxGRESPerUser|vision |root   |vision-quota  |2   |       |2026-11-25T09:22:59 |N/A                 |N/A                 |1-00:00:00  |43333  |cpu=2,mem=8000M,node=2,billing=4,gres/gpu=4 |gres:gpu:2 |0  |wrap
31      |31     |RUNNING     |None             |nlp    |root   |nlp-quota     |2   |n[1-2] |2026-11-25T09:22:59 |2026-11-25T09:22:59 |NONE                |UNLIMITED   |76666  |cpu=2,node=2,billing=4,gres/gpu=4           |gres:gpu:2 |0  |wrap
29      |29     |RUNNING     |None             |vision |root   |spare         |1   |n3     |2026-11-25T09:22:59 |2026-11-25T09:22:59 |2026-11-25T10:22:59 |1:00:00     |33333  |cpu=1,node=1,billing=1,gres/gpu=1           |gres:gpu:1 |1  |a|b
"""  # noqa: E501 - as it came, with less of the padding
NODES = """\
NodeName=n1 Arch=x86_64 CoresPerSocket=8  CPUAlloc=1 CPUEfctv=8 CPUTot=8 CPULoad=7.16 Gres=gpu:2 GresUsed=gpu:2(IDX:0-1) State=MIXED CfgTRES=cpu=8,mem=4000M,billing=2,gres/gpu=2 AllocTRES=cpu=1,gres/gpu=2 CapWatts=n/a
NodeName=n2 Arch=x86_64 CoresPerSocket=8  CPUAlloc=1 CPUEfctv=8 CPUTot=8 CPULoad=7.16 Gres=gpu:2 GresUsed=gpu:2(IDX:0-1) State=MIXED CfgTRES=cpu=8,mem=4000M,billing=2,gres/gpu=2 AllocTRES=cpu=1,gres/gpu=2 CapWatts=n/a
NodeName=n3 Arch=x86_64 CoresPerSocket=8  CPUAlloc=1 CPUEfctv=8 CPUTot=8 CPULoad=7.16 Gres=gpu:2 GresUsed=gpu:1(IDX:0),shard:0(0/4,0/4) State=MIXED CfgTRES=cpu=8,mem=4000M,billing=2,gres/gpu=2 AllocTRES=cpu=1,gres/gpu=1 CapWatts=n/a
NodeName=n4 Arch=x86_64 CoresPerSocket=8  CPUAlloc=0 CPUEfctv=8 CPUTot=8 CPULoad=7.16 Gres=gpu:2 GresUsed=gpu:0 State=IDLE+DRAIN CfgTRES=cpu=8,mem=4000M,billing=2,gres/gpu=2 AllocTRES= CapWatts=n/a Reason=x [root@2026-11-25T09:23:03]
"""  # noqa: E501
DEVICES = """\
JobId=29 JobName=a|b UserId=root(0) JobState=RUNNING NodeList=n3 JOB_GRES=gpu:1   Nodes=n3 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0) MinCPUsNode=1
JobId=31 JobName=wrap UserId=root(0) JobState=RUNNING NodeList=n[1-2] JOB_GRES=gpu:4   Nodes=n[1-2] CPU_IDs=0 Mem=0 GRES=gpu:2(IDX:0-1) MinCPUsNode=1
JobId=32 JobName=wait UserId=root(0) JobState=PENDING NodeList= NumNodes=1 MinCPUsNode=1
"""  # noqa: E501
PAST = """\
2_[1-4%1]|vision|root|vision-quota|PENDING||billing=4,cpu=2,gres/gpu=4,mem=8000M,node=2|0|2026-11-25T08:58:20|Unknown|Unknown|UNLIMITED|2|0:0|wrap
13_0|vision|root|spare|COMPLETED|billing=1,cpu=1,gres/gpu=1,node=1|billing=1,cpu=1,gres/gpu=1,mem=4000M,node=1|8|2026-11-25T09:06:35|2026-11-25T09:06:35|2026-11-25T09:06:43|01:00:00|1|0:0|stay
18|vision|root|vision-quota|CANCELLED by 0|billing=1,cpu=1,gres/gpu=1,node=1|billing=1,cpu=1,gres/gpu=1,mem=4000M,node=1|2|2026-11-25T09:08:37|2026-11-25T09:08:37|2026-11-25T09:08:39|01:00:00|1|0:0|stay
21|vision|root|spare|REQUEUED|billing=1,cpu=1,gres/gpu=1,node=1|billing=1,cpu=1,gres/gpu=1,mem=4000M,node=1|30|2026-11-25T09:08:37|2026-11-25T09:08:37|2026-11-25T09:09:07|00:03:00|1|0:0|stay1
21|vision|root|spare|COMPLETED|billing=1,cpu=1,gres/gpu=1,node=1|billing=1,cpu=1,gres/gpu=1,mem=4000M,node=1|20|2026-11-25T09:09:07|2026-11-25T09:09:19|2026-11-25T09:09:39|00:03:00|1|0:0|stay1
31|nlp|root|nlp-quota|RUNNING|billing=4,cpu=2,gres/gpu=4,node=2|billing=4,cpu=2,gres/gpu=4,mem=8000M,node=2|36|2026-11-25T09:22:59|2026-11-25T09:22:59|Unknown|UNLIMITED|2|0:0|a|b
"""  # noqa: E501
BOOKS = """\
normal|0||||00:00:00
spare|0||||00:00:15
vision-quota|100|gres/gpu=4|gres/gpu=3|spare|00:00:00
nlp-quota|100|gres/gpu=4||spare|00:00:00
"""
ACCOUNTS = """\
root||normal
root|root|normal
nlp||normal
nlp|root|nlp-quota,spare
vision||normal
vision|root|spare,vision-quota
"""
SHARES = """\
root||
 root|root|1.000000
 nlp||
  nlp|root|0.666667
 vision||
  vision|root|0.333333
"""
